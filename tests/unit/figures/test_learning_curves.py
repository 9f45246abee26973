import numpy as np
from matplotlib.collections import LineCollection, PathCollection

from histsearch.figures.learning_curves import learning_curves
from histsearch.figures.searched_study import SearchedStudy
from histsearch.studies.stages import TrialStage
from tests.unit.figures.made_up import drawn, reason, search, trial


def curves(found: SearchedStudy) -> dict[str, list[list[list[float]]]]:
    """The curves drawn, by the label of their kind."""
    (axes,) = drawn(learning_curves(found)).figure.axes
    return {
        str(lines.get_label()): [np.asarray(one).tolist() for one in lines.get_segments()]
        for lines in axes.collections
        if isinstance(lines, LineCollection)
    }


def test_curves_are_drawn_by_what_became_of_their_trials() -> None:
    found = search(
        trial(0, [0.1, 0.2, 0.3]),
        trial(1, [0.1, 0.15], {"tau": 8, "alpha": 0.9}, TrialStage.PAUSED),
        trial(2, [0.2, 0.4, 0.5], {"tau": 16, "alpha": 0.9}),
        trial(3, [0.1], {"tau": 8, "alpha": 1.1}, TrialStage.PRUNED),
        trial(4, [], stage=TrialStage.QUEUED),
        winner={"tau": 16, "alpha": 0.9},
    )
    assert curves(found) == {
        "paused, pruned, running or failed (2)": [
            [[1.0, 10.0], [2.0, 15.0]],
            [[1.0, 10.0]],
        ],
        "complete (1)": [[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]],
        "the winner's (1)": [[[1.0, 20.0], [2.0, 40.0], [3.0, 50.0]]],
    }
    result = drawn(learning_curves(found))
    assert [text.get_text() for text in result.figure.axes[0].texts] == ["#2"]
    assert result.alt == (
        "R@1 on validation classes after each epoch of 4 trials, 2 of them complete and 2 left "
        "earlier. The winner's trial #2 rises from 20.0% to 50.0% in 3 epochs."
    )


def test_a_trial_of_one_epoch_is_a_dot_that_is_seen() -> None:
    found = search(trial(0, [0.1, 0.2]), trial(1, [0.3]))
    (axes,) = drawn(learning_curves(found)).figure.axes
    sizes = {
        tuple(np.asarray(dots.get_offsets())[0].tolist()): float(dots.get_sizes()[0])
        for dots in axes.collections
        if isinstance(dots, PathCollection)
    }
    assert sizes[1.0, 30.0] > 10 > sizes[2.0, 20.0]


def test_thousands_of_curves_are_one_faint_image() -> None:
    trials = [trial(number, [0.1, 0.2, number / 3000]) for number in range(3000)]
    (axes,) = drawn(learning_curves(search(*trials))).figure.axes
    (lines,) = (one for one in axes.collections if isinstance(one, LineCollection))
    assert len(lines.get_segments()) == 3000
    assert lines.get_rasterized()
    assert (lines.get_alpha() or 1.0) < 0.2


def test_what_lies_below_the_axis_is_counted() -> None:
    trials = [trial(number, [0.60, 0.65 + number / 1000]) for number in range(50)]
    figure = drawn(learning_curves(search(*trials, trial(50, [0.01, 0.01])))).figure
    assert figure.get_supxlabel().startswith("▾ 1 trial below 5")


def test_it_says_why_there_is_nothing_to_show() -> None:
    assert reason(learning_curves(search())) == "The search has no trial yet."
    one_epoch = search(trial(0, [0.5]), trial(1, [0.6]))
    assert reason(learning_curves(one_epoch)) == "Every trial has one epoch, which is no curve."
