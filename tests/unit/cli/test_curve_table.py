import io
import sys
from collections.abc import Iterator, Sequence

import pytest
from rich.console import Group

from histsearch.cli.curve_table import curve_tables
from histsearch.cli.output import console
from histsearch.studies.running_curves import RunningCurve


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
        yield


def drawn(curves: Sequence[RunningCurve], width: int = 200) -> list[str]:
    shown = console(width)
    with shown.capture() as captured:
        shown.print(Group(*curve_tables(curves, {"birds": "R@1"}, width)))
    return [line.rstrip() for line in captured.get().splitlines()]


def curve(
    trial: int, scores: list[float], *, runs: bool = True, best: bool = False
) -> RunningCurve:
    return RunningCurve("birds", trial, scores, runs, best)


def test_curves_share_a_scale_and_the_best_comes_first() -> None:
    blank, head, columns, *rows = drawn(
        [curve(1, [0.2, 0.4]), curve(7, [0.3, 0.6, 0.9], runs=False, best=True)]
    )
    assert (blank, head) == ("", "birds: curves from 20.0% to 90.0%")
    assert columns.split("  ")[0] == "trial"
    assert [row.split() for row in rows] == [
        ["#7", "▂▅█", "3", "90.0%", "90.0%", "best", "so", "far"],
        ["#1", "▁▃", "2", "40.0%", "40.0%"],
    ]


def test_long_curves_fit_and_keep_epochs_in_their_place() -> None:
    _, _, _, best, half = drawn([curve(0, [0.5] * 399 + [0.6], best=True), curve(1, [0.4] * 200)])
    assert [len(row.split()[1]) for row in (best, half)] == [40, 20]
    assert best.endswith("best so far, runs")


def test_a_long_curve_leaves_80_columns_room_for_its_figures() -> None:
    *_, row = drawn([curve(1234, [0.5] * 400, best=True)], width=80)
    assert "…" not in row
    assert row.split()[2:] == ["400", "50.0%", "50.0%", "best", "so", "far,", "runs"]


def test_of_many_curves_some_are_left_out_and_counted() -> None:
    curves = [curve(trial, [0.5]) for trial in range(12)]
    lines = drawn([*curves, curve(99, [0.7], runs=False, best=True)])
    assert lines[1] == "birds: curves from 50.0% to 70.0% (5 more run)"
    assert [line.split()[0] for line in lines[3:]] == ["#99", *(f"#{i}" for i in range(7))]


def test_scores_that_are_no_numbers_are_gaps_and_none_at_all_is_no_table() -> None:
    nan = float("nan")
    assert drawn([curve(0, [nan])]) == []
    *_, row = drawn([curve(0, [0.5, nan], best=True)])
    assert "nan" not in row
