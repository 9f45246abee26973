"""Scores by the value of each searched parameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.importance import Importance
from histsearch.figures.score_axis import ScoreAxis
from histsearch.figures.searched_study import SearchedStudy, SearchedTrial
from histsearch.figures.value_axis import Tick, ValueAxis, value_axis
from histsearch.search.standing import Share
from histsearch.wording import counted, value_text

_NAME = "slices"
_COLUMNS = 3
_MOST_PANELS = 12
_JITTER = 0.3  # of the gap to the next value, to either side: trials of a value stand side by side
_WIDEST = 0.05  # of an axis, the same
_MEAN = 0.02  # of an axis: how far a mean's dash goes beyond that
_SEED = 0
# Whether a trial is the winner's, and whether it is complete.
_LOOKS: dict[tuple[bool, bool], dict[str, Any]] = {
    (False, False): look.hollow(9.0, look.FADED),
    (False, True): {"size": 13.0, "color": look.STRONG, "alpha": 0.8},
    (True, False): {**look.hollow(30.0, look.ACCENT), "marker": "*", "zorder": 4},
    (True, True): {"size": 60.0, "color": look.ACCENT, "marker": "*", "zorder": 4},
}


@look.our_look
def slices(search: SearchedStudy, shares: Sequence[Share] = ()) -> Drawn | Missing:
    """A panel for each searched parameter, those that matter most first.

    Of a list's values it shows the mean of the complete trials, and how many trials there are.

    Args:
        search: The search.
        shares: How much parameters matter; empty where that isn't known.
    """
    title = f"{search.objective} by the value of each parameter"
    reason = search.no_score(2)
    if not search.search:
        reason = "The study searches no parameter."
    if reason is not None:
        return Missing(_NAME, title, reason)
    ranked = Importance(search, shares).parameters
    names = ranked[:_MOST_PANELS]
    rows = -(-len(names) // _COLUMNS)
    figure = look.new_figure(0.5 + 1.85 * rows)
    trials = search.scored
    scores = ScoreAxis([trial.score for trial in trials if trial.score is not None])
    for number, (name, axes) in enumerate(
        zip(names, look.panels(figure, len(names), _COLUMNS), strict=True)
    ):
        scores.apply(axes)
        _panel(axes, name, search, trials, scores)
        if number % _COLUMNS:
            axes.tick_params(labelleft=False)
    figure.supylabel(search.score_label, fontsize=8.0)
    look.note(
        figure,
        [
            "● complete  ○ unfinished  ★ ☆ the winner's  — mean of complete trials",
            "numbers at the top: trials with a value",
            *scores.far_note([trial.score for trial in trials if trial.score is not None]),
            *look.and_more(len(names), len(ranked), "parameters"),
        ],
    )
    return Drawn(_NAME, title, _alt(search, names), figure)


def _panel(
    axes: Axes,
    name: str,
    search: SearchedStudy,
    trials: Sequence[SearchedTrial],
    scores: ScoreAxis,
) -> None:
    having = [trial for trial in trials if name in trial.params]
    axis = value_axis(search.search[name], [trial.params[name] for trial in having])
    ticks = axis.apply(axes)
    axes.set_title(look.text(name), pad=11.0 if axis.gap else 6.0)
    _draw_trials(axes, name, search, having, axis, scores)
    if axis.gap:
        _draw_means(axes, name, having, axis, scores)
        _write_counts(axes, name, having, axis, ticks)


def _draw_trials(
    axes: Axes,
    name: str,
    search: SearchedStudy,
    trials: Sequence[SearchedTrial],
    axis: ValueAxis,
    scores: ScoreAxis,
) -> None:
    half = _half_width(axis)
    shifts = np.random.default_rng(_SEED).uniform(-half, half, len(trials))
    points: dict[tuple[bool, bool], list[tuple[float, float]]] = {kind: [] for kind in _LOOKS}
    far: list[tuple[float, float]] = []
    for trial, shift in zip(trials, shifts, strict=True):
        place = axis.position(trial.params[name])
        if place is None or trial.score is None:
            continue
        x = axis.shifted(place, 0.0 if search.is_winners(trial) else float(shift))
        if not scores.holds(trial.score):
            far.append((x, trial.score))
            continue
        kind = (search.is_winners(trial), trial.is_complete)
        points[kind].append((x, scores.height(trial.score)))
    for kind, some in points.items():
        look.scatter(axes, some, **_LOOKS[kind])
    scores.mark_far(axes, [x for x, _ in far], [score for _, score in far])


def _half_width(axis: ValueAxis) -> float:
    """How far trials of one value stand to its sides, as a part of the axis."""
    return min(_JITTER * axis.gap, _WIDEST)


def _draw_means(
    axes: Axes,
    name: str,
    trials: Sequence[SearchedTrial],
    axis: ValueAxis,
    scores: ScoreAxis,
) -> None:
    by_place: dict[float, list[float]] = {}
    for trial in trials:
        place = axis.position(trial.params[name])
        if trial.is_complete and place is not None and trial.score is not None:
            by_place.setdefault(place, []).append(trial.score)
    for place, some in by_place.items():
        mean = sum(some) / len(some)
        if len(some) > 1 and scores.holds(mean):
            half = _half_width(axis) + _MEAN
            ends = (axis.shifted(place, -half), axis.shifted(place, half))
            axes.plot(ends, [scores.height(mean)] * 2, color=look.INK, lw=1.4, zorder=3)


def _write_counts(
    axes: Axes,
    name: str,
    trials: Sequence[SearchedTrial],
    axis: ValueAxis,
    ticks: Sequence[Tick],
) -> None:
    places = [axis.position(trial.params[name]) for trial in trials]
    for at, _ in ticks:
        axes.text(
            *(at, 1.01),
            f"{places.count(at):,}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=look.QUIET,
        )


def _alt(search: SearchedStudy, names: Sequence[str]) -> str:
    number = len(search.scored)
    text = (
        f"The best {search.objective} of {counted(number, 'trial')} on {search.scored_on} by the "
        f"value of {', '.join(map(look.plain, names))}."
    )
    if not search.winner:
        return text
    values = ", ".join(
        f"{look.plain(name)} = {look.plain(value_text(search.winner[name]))}"
        for name in names
        if name in search.winner
    )
    return f"{text} The winner has {values}."
