"""Mean scores by the values of two searched parameters."""

# C = cells of the first parameter, R = cells of the second one

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.importance import Importance, Pair
from histsearch.figures.score_axis import PERCENT, ScoreAxis
from histsearch.figures.searched_study import SearchedStudy
from histsearch.figures.value_axis import ValueAxis, value_axis
from histsearch.search.standing import Share
from histsearch.wording import counted

_NAME = "pair-heat-maps"
_MOST_PAIRS = 6
_FEW_CELLS = 5
_DARK = 0.5  # from this part of the colours on, what is written on them is white


@dataclass(frozen=True)
class Cells:
    """The runs of a search by the values of two parameters.

    Attributes:
        horizontal: The cells of the first parameter.
        vertical: Those of the second one.
        mean_RC: Mean score of the complete trials of a cell, in [0, 1]; where none is complete, of
            all; NaN where there are none.
        number_RC: How many trials that mean is of.
        complete_RC: Whether these are complete.
        winners: The winner's cell, by row and column; None where there is no winner.
    """

    horizontal: ValueAxis
    vertical: ValueAxis
    mean_RC: NDArray[np.float64]
    number_RC: NDArray[np.int64]
    complete_RC: NDArray[np.bool_]
    winners: tuple[int, int] | None


@look.our_look
def pair_heat_maps(search: SearchedStudy, shares: Sequence[Share] = ()) -> Drawn | Missing:
    """A panel for each of the pairs that matter most, six at most.

    Args:
        search: The search.
        shares: How much parameters and pairs matter; empty where that isn't known.
    """
    title = f"Mean {search.objective} by the values of two parameters"
    reason = search.no_score(2)
    if len(search.search) < 2:
        reason = "The study searches fewer than two parameters."
    if reason is not None:
        return Missing(_NAME, title, reason)
    ranked = Importance(search, shares).pairs
    pairs = ranked[:_MOST_PAIRS]
    maps = [cells_of(search, pair) for pair in pairs]
    norm, reaches_down = _norm(maps)
    columns = 2 if len(pairs) <= 4 else 3
    figure = look.new_figure(0.6 + 2.3 * -(-len(pairs) // columns))
    every = look.panels(figure, len(pairs), columns)
    for pair, cells, axes in zip(pairs, maps, every, strict=True):
        _panel(axes, pair, cells, norm)
    bar = figure.colorbar(
        every[0].collections[0],
        ax=every,
        shrink=0.6,
        aspect=30,
        pad=0.01,
        extend="neither" if reaches_down else "min",
    )
    bar.set_label(f"mean {search.score_label}", fontsize=look.SMALL)
    bar.outline.set_visible(False)
    notes = ["in each cell its mean and its number of runs"]
    if any((one.number_RC > 0)[~one.complete_RC].any() for one in maps):
        notes.append("in brackets: none of them complete")
    if search.winner:
        notes.append("framed: the winner's")
    look.note(figure, [*notes, *look.and_more(len(pairs), len(ranked), "pairs")])
    return Drawn(_NAME, title, _alt(search, pairs, maps), figure)


def _norm(maps: Sequence[Cells]) -> tuple[Normalize, bool]:
    """The span of colours, that of complete runs where these differ; whether it holds all."""
    every = np.concatenate([one.mean_RC[one.number_RC > 0] for one in maps])
    complete = np.concatenate([one.mean_RC[one.complete_RC] for one in maps])
    axis = ScoreAxis((complete if len(np.unique(complete)) > 1 else every).tolist())
    return Normalize(axis.low, axis.high, clip=True), all(map(axis.holds, every.tolist()))


def cells_of(search: SearchedStudy, pair: Pair) -> Cells:
    """The runs of a search by the values of two of its parameters.

    Args:
        search: The search.
        pair: The names of the parameters.
    """
    trials = [trial for trial in search.scored if all(name in trial.params for name in pair)]
    across, up = (
        value_axis(search.search[name], [trial.params[name] for trial in trials]) for name in pair
    )
    scores: dict[tuple[int, int], dict[bool, list[float]]] = {}
    for trial in trials:
        column, row = across.cell(trial.params[pair[0]]), up.cell(trial.params[pair[1]])
        if column is not None and row is not None and trial.score is not None:
            kinds = scores.setdefault((row, column), {True: [], False: []})
            kinds[trial.is_complete].append(trial.score)
    shape = (up.cells, across.cells)
    mean_RC, number_RC = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    complete_RC = np.zeros(shape, dtype=np.bool_)
    for at, kinds in scores.items():
        chosen = kinds[True] or kinds[False]
        mean_RC[at], number_RC[at] = sum(chosen) / len(chosen), len(chosen)
        complete_RC[at] = bool(kinds[True])
    return Cells(
        across, up, mean_RC, number_RC, complete_RC, _winners_cell(search, pair, across, up)
    )


def _winners_cell(
    search: SearchedStudy, pair: Pair, across: ValueAxis, up: ValueAxis
) -> tuple[int, int] | None:
    winner = search.winner or {}
    if not all(name in winner for name in pair):
        return None
    column, row = across.cell(winner[pair[0]]), up.cell(winner[pair[1]])
    return None if column is None or row is None else (row, column)


def _panel(axes: Axes, pair: Pair, cells: Cells, norm: Normalize) -> None:
    rows, columns = cells.mean_RC.shape
    percent_RC = np.ma.masked_invalid(PERCENT * cells.mean_RC)
    edges = (np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5)
    axes.pcolormesh(*edges, percent_RC, cmap=look.HEAT, norm=norm, ec=look.PALE, lw=0.6)
    for row, column in zip(*np.nonzero(cells.number_RC), strict=True):
        _write(axes, cells, norm, int(row), int(column))
    if cells.winners is not None:
        row, column = cells.winners
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(
            Rectangle(corner, 1.0, 1.0, fill=False, edgecolor=look.ACCENT, linewidth=2.0, zorder=4)
        )
    across, up = cells.horizontal.cell_ticks(), cells.vertical.cell_ticks()
    long = max(len(label) for _, label in across) * len(across) > 30
    axes.set_xticks(
        [at for at, _ in across],
        [label for _, label in across],
        rotation=40 if long else 0,
        ha="right" if long else "center",
        rotation_mode="anchor" if long else None,
    )
    axes.set_yticks([at for at, _ in up], [label for _, label in up])
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)
    axes.set_xlabel(look.text(pair[0]))
    axes.set_ylabel(look.text(pair[1]))
    axes.tick_params(length=0)


def _write(axes: Axes, cells: Cells, norm: Normalize, row: int, column: int) -> None:
    percent = PERCENT * float(cells.mean_RC[row, column])
    mean = f"{percent:.1f}" if cells.complete_RC[row, column] else f"({percent:.1f})"
    axes.text(
        *(column, row),
        f"{mean}\n{cells.number_RC[row, column]:,}",
        ha="center",
        va="center",
        fontsize=6.5 if max(cells.mean_RC.shape) <= _FEW_CELLS else 5.5,
        linespacing=1.1,
        color="#FFFFFF" if float(norm(percent)) > _DARK else look.INK,
        zorder=5,
    )


def _alt(search: SearchedStudy, pairs: Sequence[Pair], maps: Sequence[Cells]) -> str:
    first, cells = pairs[0], maps[0]
    row, column = np.unravel_index(int(np.nanargmax(cells.mean_RC)), cells.mean_RC.shape)
    named = "; ".join(" with ".join(map(look.plain, pair)) for pair in pairs)
    return (
        f"Mean {search.objective} on {search.scored_on} and number of runs for "
        f"{counted(len(pairs), 'pair')} of parameters: {named}. Of {look.plain(first[0])} with "
        f"{look.plain(first[1])} the best cell has {cells.mean_RC[row, column]:.1%} "
        f"(n = {cells.number_RC[row, column]:,})."
    )
