import io
import sys

import pytest

from histsearch.cli.sparkline import sparkline


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    return monkeypatch


@pytest.mark.usefixtures("terminal")
def test_height_follows_the_values() -> None:
    assert sparkline([0.0, 0.5, 1.0], 10) == "▁▅█"


@pytest.mark.usefixtures("terminal")
def test_two_curves_share_a_scale() -> None:
    assert sparkline([0.2, 0.4], 10, minimum=0.0, maximum=1.0) == "▂▄"
    assert sparkline([-1.0, 2.0], 10, minimum=0.0, maximum=1.0) == "▁█"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("epochs", [1, 7, 8, 9, 60])
def test_a_long_curve_fits_and_ends_with_its_last_value(epochs: int) -> None:
    curve = [0.5] * (epochs - 1) + [1.0]
    drawn = sparkline(curve, 8, minimum=0.0, maximum=1.0)
    assert len(drawn) == min(epochs, 8)
    assert drawn[-1] == "█"


@pytest.mark.usefixtures("terminal")
def test_what_is_not_finite_is_a_gap() -> None:
    assert sparkline([0.0, float("nan"), 1.0, float("inf")], 9) == "▁ █ "
    assert sparkline([float("nan")], 9) == " "
    assert sparkline([], 9) == ""
    assert sparkline([0.1], 0) == ""


@pytest.mark.usefixtures("terminal")
def test_a_flat_curve_stands_in_the_middle() -> None:
    assert sparkline([0.3, 0.3], 9) == "▅▅"


def test_a_terminal_without_blocks_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert sparkline([0.0, 0.5, 1.0], 9).isascii()
    assert len(set(sparkline([0.0, 0.5, 1.0], 9))) == 3
