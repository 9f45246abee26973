import numpy as np
import pytest

from histsearch.figures.losses import LossScores, losses
from histsearch.figures.svg import svg
from tests.unit.figures.made_up import HOSTILE, drawn, reason

HIST = LossScores("hist", [0.80, 0.82, 0.84], 0.82, 0.77, 0.87)
ONE_SEED = LossScores("proxy-anchor", [0.7], 0.7, None, None)


def test_each_loss_has_a_row_with_its_interval_and_seeds() -> None:
    result = drawn(losses([HIST, ONE_SEED], "R@1"))
    (axes,) = result.figure.axes
    assert result.name == "losses"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["hist", "proxy-anchor"]
    interval, mean, alone = (np.asarray(line.get_xydata()) for line in axes.lines)
    assert interval == pytest.approx(np.array([[77.0, 0.0], [87.0, 0.0]]))
    assert mean == pytest.approx(np.array([[82.0, 0.0]]))
    assert alone == pytest.approx(np.array([[70.0, 1.0]])), "one seed has no interval"
    seeds, _ = (np.asarray(dots.get_offsets()) for dots in axes.collections)
    assert seeds[:, 0] == pytest.approx([80.0, 82.0, 84.0])
    low, high = axes.get_xlim()
    assert low < 70.0
    assert high > 87.0
    assert axes.texts[0].get_text() == "82.0 (77.0 to 87.0, n = 3)"
    assert "hist 82.0 (77.0 to 87.0, n = 3); proxy-anchor 70.0 (n = 1)." in result.alt


def test_equal_scores_have_an_axis_and_a_hostile_name_is_shown_as_it_is() -> None:
    result = drawn(losses([LossScores(HOSTILE, [0.5, 0.5, 0.5], 0.5, 0.5, 0.5)], "R@1"))
    low, high = result.figure.axes[0].get_xlim()
    assert low < 50.0 < high
    assert "<script>" not in svg(result)


def test_without_a_search_that_is_compared_there_is_nothing_to_draw() -> None:
    assert "No search can be compared yet" in reason(losses([], "R@1"))
