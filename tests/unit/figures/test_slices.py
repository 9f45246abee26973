import numpy as np
import pytest

from histsearch.figures import look
from histsearch.figures.slices import slices
from histsearch.search.standing import Share
from histsearch.space.parameters import Range
from histsearch.studies.stages import TrialStage
from tests.unit.figures.made_up import HOSTILE, SEARCH, drawn, reason, search, trial

TRIALS = (
    trial(0, [0.5], {"tau": 4, "alpha": 0.9}),
    trial(1, [0.7], {"tau": 4, "alpha": 1.1}),
    trial(2, [0.4], {"tau": 8, "alpha": 1.1}, TrialStage.PAUSED),
    trial(3, [0.8], {"tau": 16, "alpha": 1.1}),
)


def test_panels_come_in_the_order_of_their_shares() -> None:
    shares = [Share(["alpha"], 0.6, 0.5, 0.7), Share(["tau"], 0.3, 0.2, 0.4)]
    figure = drawn(slices(search(*TRIALS), shares)).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["alpha", "tau"]


def test_without_shares_they_come_by_what_scores_differ_between_values() -> None:
    params = [{"tau": 4, "alpha": 0.9}, {"tau": 8, "alpha": 0.9}]
    trials = [trial(number, [0.5], one) for number, one in enumerate(params)]
    trials += [
        trial(2, [0.9], {"tau": 4, "alpha": 1.1}),
        trial(3, [0.9], {"tau": 8, "alpha": 1.1}),
    ]
    figure = drawn(slices(search(*trials))).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["alpha", "tau"]


def test_scores_stand_at_their_values_with_means_and_counts() -> None:
    found = search(*TRIALS, winner={"tau": 16, "alpha": 1.1}, parameters={"tau": SEARCH["tau"]})
    (axes,) = drawn(slices(found)).figure.axes
    assert axes.get_xscale() == "log"
    unfinished, complete, star = axes.collections
    assert np.asarray(complete.get_offsets())[:, 1].tolist() == [50.0, 70.0]
    assert np.asarray(complete.get_offsets())[:, 0] == pytest.approx([4, 4], rel=0.2)
    assert np.asarray(unfinished.get_offsets())[:, 1].tolist() == [40.0]
    assert np.asarray(star.get_offsets())[0] == pytest.approx([16, 80], rel=0.2)
    (mean,) = axes.lines
    assert np.asarray(mean.get_ydata()).tolist() == pytest.approx([60.0, 60.0])
    assert [text.get_text() for text in axes.texts] == ["2", "1", "1"]


def test_a_range_has_its_own_scale_and_exact_places() -> None:
    trials = [trial(number, [0.5], {"lr": lr}) for number, lr in enumerate((1e-4, 1e-3, 5e-3))]
    parameters = {"lr": Range(low=1e-5, high=1e-2, log=True)}
    (axes,) = drawn(slices(search(*trials, parameters=parameters))).figure.axes
    assert axes.get_xscale() == "log"
    (marks,) = axes.collections
    assert np.asarray(marks.get_offsets())[:, 0] == pytest.approx([1e-4, 1e-3, 5e-3])
    assert not axes.texts


def test_it_leaves_out_parameters_that_have_no_room_and_says_how_many() -> None:
    parameters = {f"p{number}": (1, 2) for number in range(30)}
    trials = [trial(number, [0.5 + number / 10], dict.fromkeys(parameters, 1)) for number in (0, 1)]
    figure = drawn(slices(search(*trials, parameters=parameters))).figure
    assert len(figure.axes) == 12
    assert "… and 18 more parameters" in figure.get_supxlabel()


def test_a_hostile_name_is_shown_as_it_is() -> None:
    trials = [trial(number, [0.5], {HOSTILE: HOSTILE}) for number in range(2)]
    (axes,) = drawn(slices(search(*trials, parameters={HOSTILE: (HOSTILE, "b")}))).figure.axes
    assert axes.get_title(loc="left") == look.text(HOSTILE)


def test_it_says_why_there_is_nothing_to_show() -> None:
    assert reason(slices(search(*TRIALS, parameters={}))) == "The study searches no parameter."
    assert reason(slices(search())) == "The search has no trial yet."
