"""Learning curves on the screen of ``status --watch``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from histsearch.cli.output import table, text
from histsearch.cli.sparkline import sparkline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histsearch.studies.running_curves import RunningCurve

_MOST_CELLS = 40
_OTHER_CELLS = 54  # of a table's other columns, with the gaps between them
_MOST_CURVES = 8


def curve_tables(
    curves: Iterable["RunningCurve"], objectives: Mapping[str, str], width: int
) -> list["RenderableType"]:
    """The curves of each study as a headline and a table.

    Args:
        curves: The curves, by study.
        objectives: Label of each study's objective.
        width: Cells of the terminal.
    """
    most = max(1, min(_MOST_CELLS, width - _OTHER_CELLS))
    return [
        part
        for study, of_study in groupby(curves, key=lambda curve: curve.study)
        for part in _of_study(study, list(of_study), objectives.get(study, "score"), most)
    ]


def _of_study(
    study: str, curves: Sequence["RunningCurve"], objective: str, most: int
) -> list["RenderableType"]:
    scores = [score for curve in curves for score in curve.scores if math.isfinite(score)]
    if not scores:
        return []
    low, high = min(scores), max(scores)
    scale = f"from {low:.1%} to {high:.1%}"
    shown = _shown(curves)
    cells_each = min(1.0, most / max(len(curve.scores) for curve in shown))
    columns = ("trial", f"{objective} by epoch", "epoch", "now", "highest", "")
    rows = [_row(curve, cells_each, low, high) for curve in shown]
    left_out = len(curves) - len(shown)
    more = f" ({left_out} more run)" if left_out else ""
    return [text(""), text(f"{study}: curves {scale}{more}"), table(columns, rows)]


def _shown(curves: Sequence["RunningCurve"]) -> list["RunningCurve"]:
    """The best curve first, then as many running ones as a screen takes."""
    by_rank = sorted(curves, key=lambda curve: (not curve.is_best, curve.trial))
    return by_rank[:_MOST_CURVES]


def _row(curve: "RunningCurve", cells_each: float, low: float, high: float) -> tuple[str, ...]:
    epochs = len(curve.scores)
    # Curves of a table have the same epoch in the same place.
    cells = math.ceil(epochs * cells_each)
    finite = [score for score in curve.scores if math.isfinite(score)]
    what = "best so far" if curve.is_best else ""
    if curve.is_best and curve.runs:
        what += ", runs"
    return (
        f"#{curve.trial}",
        sparkline(curve.scores, cells, minimum=low, maximum=high),
        str(epochs),
        f"{curve.scores[-1]:.1%}" if math.isfinite(curve.scores[-1]) else "",
        f"{max(finite):.1%}" if finite else "",
        what,
    )
