import numpy as np

from histsearch.figures.pair_heat_maps import cells_of, pair_heat_maps
from histsearch.figures.score_axis import PERCENT
from histsearch.search.standing import Share
from histsearch.studies.stages import TrialStage
from tests.unit.figures.made_up import drawn, reason, search, trial

TRIALS = (
    trial(0, [0.5], {"tau": 4, "alpha": 0.9}),
    trial(1, [0.7], {"tau": 4, "alpha": 0.9}),
    trial(2, [0.1], {"tau": 4, "alpha": 0.9}, TrialStage.PAUSED),
    trial(3, [0.3], {"tau": 16, "alpha": 1.1}, TrialStage.PRUNED),
    trial(4, [0.9], {"tau": 16, "alpha": 1.1}, TrialStage.FAILED),
    trial(5, [0.8], {"tau": 8, "alpha": 1.1}),
)
WINNER = {"tau": 8, "alpha": 1.1}


def test_a_cells_mean_is_of_complete_runs_where_there_are_some() -> None:
    cells = cells_of(search(*TRIALS, winner=WINNER), ("tau", "alpha"))
    assert cells.number_RC.tolist() == [[2, 0, 0], [0, 1, 1]]
    assert cells.complete_RC.tolist() == [[True, False, False], [False, True, False]]
    expected = [[0.6, np.nan, np.nan], [np.nan, 0.8, 0.3]]
    np.testing.assert_allclose(cells.mean_RC, expected)
    assert cells.winners == (1, 1)


def test_each_cell_shows_its_mean_and_its_number_of_runs() -> None:
    result = drawn(pair_heat_maps(search(*TRIALS, winner=WINNER)))
    axes = result.figure.axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "60.0\n2", (1, 1): "80.0\n1", (2, 1): "(30.0)\n1"}
    colours = axes.collections[0].get_array()
    assert colours is not None
    np.testing.assert_allclose(
        np.ma.filled(colours, np.nan).reshape(2, 3),
        [[60.0, np.nan, np.nan], [np.nan, 80.0, 30.0]],
    )
    (frame,) = axes.patches
    assert (frame.get_x(), frame.get_y()) == (0.5, 0.5)  # type: ignore[attr-defined]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tau", "alpha")
    assert "the best cell has 80.0% (n = 1)" in result.alt
    assert "in brackets" in result.figure.get_supxlabel()


def test_the_six_pairs_that_matter_most_are_shown() -> None:
    parameters = dict.fromkeys("abcde", (1, 2))
    found = search(
        *(trial(number, [0.5 + number / 10], dict.fromkeys("abcde", 1)) for number in (0, 1)),
        parameters=parameters,
    )
    of_one = (0.0, 0.1, 0.0, 0.4, 0.0)
    shares = [Share([name], share, 0, 1) for name, share in zip("abcde", of_one, strict=True)]
    shares.append(Share(["a", "e"], 0.3, 0.2, 0.4))
    figure = drawn(pair_heat_maps(found, shares)).figure
    pairs = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes[:6]]
    assert pairs[:2] == [("a", "e"), ("b", "d")]
    assert "… and 4 more pairs" in figure.get_supxlabel()


def test_colours_are_spent_on_complete_runs() -> None:
    axes = drawn(pair_heat_maps(search(*TRIALS))).figure.axes[0]
    low, high = axes.collections[0].get_clim()
    assert PERCENT * 0.3 < (low or 0.0) < PERCENT * 0.6 < PERCENT * 0.8 < (high or 0.0)


def test_it_says_why_there_is_nothing_to_show() -> None:
    assert reason(pair_heat_maps(search(*TRIALS, parameters={"tau": (4, 8)}))) == (
        "The study searches fewer than two parameters."
    )
    assert reason(pair_heat_maps(search())) == "The search has no trial yet."
