import pytest
from matplotlib.figure import Figure

from histsearch.figures.score_axis import ScoreAxis


def test_all_scores_lie_within_it() -> None:
    axis = ScoreAxis([0.2, 0.4, 0.5, 0.6])
    assert axis.low < 20 < 60 < axis.high
    assert axis.height(0.4) == pytest.approx(40.0)
    assert axis.far_note([0.2, 0.6]) == []


def test_a_score_far_below_the_others_lies_on_its_edge() -> None:
    scores = [0.01, *(0.70 + 0.001 * number for number in range(30))]
    axis = ScoreAxis(scores)
    assert axis.low > 50.0
    assert not axis.holds(0.01)
    assert axis.low < axis.height(0.01) < 70.0
    assert axis.far_note(scores) == [f"▾ 1 trial below {axis.low:.1f}%"]
    axes = Figure().subplots()
    axis.mark_far(axes, [3.0, 4.0], [0.01, 0.7])
    (marks,) = axes.collections
    assert marks.get_offsets().tolist() == [[3.0, axis.height(0.01)]]  # type: ignore[union-attr]


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_equal_scores_have_an_axis_too(score: float) -> None:
    axis = ScoreAxis([score, score])
    assert axis.low <= 100 * score <= axis.high
    assert 5.0 <= axis.high - axis.low < 10.0
    assert axis.high < 101.0


def test_scores_that_are_nearly_all_equal_hide_none() -> None:
    axis = ScoreAxis([*[1.0] * 30, 0.94])
    assert axis.holds(0.94)
