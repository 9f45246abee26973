"""Scores of several runs by the value of one parameter: means with intervals, and single runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import PERCENT, ScoreAxis
from histsearch.figures.value_axis import ValueAxis, value_axis
from histsearch.space.configuration import Value
from histsearch.wording import counted, value_text

_NAME = "scores-by-value"
_HEIGHT = 3.0
_WIDTH = 5.2
_ASIDE = 0.3  # of the gap to the next value: where single runs and published scores stand,
_FURTHEST = 0.03  # of the axis, at most
_MOST_LABELS = 6
_LONGEST = 14  # characters of a value


@dataclass(frozen=True)
class ValueScores:
    """The scores of the runs with one value.

    Attributes:
        value: It.
        scores: Of the single runs, in [0, 1].
        low: Lower end of the 95% interval of their mean; None where there is none.
        high: Its upper end.
        published: What somebody else published for the value, in [0, 1]; None for nothing.
    """

    value: Value
    scores: Sequence[float]
    low: float | None = None
    high: float | None = None
    published: float | None = None

    @property
    def mean(self) -> float:
        """Of the scores, of which there is one at least."""
        return sum(self.scores) / len(self.scores)

    @property
    def _shown(self) -> list[float]:
        ends = [end for end in (self.low, self.high, self.published) if end is not None]
        return [*self.scores, *ends]


@look.our_look
def scores_by_value(
    values: Sequence[ValueScores], *, parameter: str, objective: str, scored_on: str
) -> Drawn | Missing:
    """Mean and interval of the scores of each value, with its single runs as dots.

    Args:
        values: In the order of a list; those without a score leave a gap.
        parameter: What varies, such as "batch size Nb".
        objective: Label of the metric.
        scored_on: What the scores are of, such as "test classes".
    """
    title = f"{objective} by {parameter}"
    scored = [one for one in values if one.scores]
    if not scored:
        return Missing(_NAME, title, "No run is complete.")
    figure = look.new_figure(_HEIGHT, _WIDTH)
    axes = figure.subplots()
    axis = value_axis(tuple(one.value for one in values), [one.value for one in scored])
    axis.apply(axes)
    if len(values) <= _MOST_LABELS:
        _label_all(axes, axis, [one.value for one in values])
    scores = ScoreAxis([score for one in scored for score in one._shown])
    scores.apply(axes, f"{objective} in %, {scored_on}")
    axes.set_xlabel(look.text(parameter))
    for one in scored:
        _draw(axes, axis, scores, one)
    _write_counts(axes, axis, scored)
    notes = ["● mean with 95% interval  ○ single runs", "numbers at the top: runs"]
    if any(one.published is not None for one in scored):
        notes[0] += "  ◇ published"
    look.note(figure, [*notes, *scores.far_note([s for one in scored for s in one.scores])])
    return Drawn(_NAME, title, _alt(scored, parameter, objective, scored_on), figure)


def _label_all(axes: Axes, axis: ValueAxis, values: Sequence[Value]) -> None:
    """Label each value: this panel is wide enough for more than an axis allows itself."""
    places = [(axis.position(value), look.text(value_text(value), _LONGEST)) for value in values]
    known = [(place, label) for place, label in places if place is not None]
    axes.set_xticks([place for place, _ in known], [label for _, label in known])


def _draw(axes: Axes, axis: ValueAxis, scores: ScoreAxis, one: ValueScores) -> None:
    place = axis.position(one.value)
    if place is None:
        return
    aside = min(_ASIDE * axis.gap, _FURTHEST)
    beside = axis.shifted(place, -aside)
    near = [(beside, scores.height(score)) for score in one.scores if scores.holds(score)]
    look.scatter(axes, near, **look.hollow(12.0, look.QUIET))
    far = [score for score in one.scores if not scores.holds(score)]
    scores.mark_far(axes, [beside] * len(far), far)
    if one.low is not None and one.high is not None:
        ends = np.clip([PERCENT * one.low, PERCENT * one.high], scores.low, scores.high)
        axes.plot([place, place], ends, color=look.STRONG, lw=1.6, zorder=3)
    look.scatter(axes, [(place, scores.height(one.mean))], 26.0, color=look.STRONG, zorder=4)
    if one.published is not None:
        published = (axis.shifted(place, aside), scores.height(one.published))
        look.scatter(axes, [published], marker="D", **look.hollow(20.0, look.ACCENT), zorder=4)


def _write_counts(axes: Axes, axis: ValueAxis, scored: Sequence[ValueScores]) -> None:
    for one in scored:
        place = axis.position(one.value)
        if place is not None:
            axes.text(
                *(place, 1.01),
                f"{len(one.scores):,}",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=6.5,
                color=look.QUIET,
            )


def _alt(scored: Sequence[ValueScores], parameter: str, objective: str, scored_on: str) -> str:
    told = "; ".join(f"{look.plain(value_text(one.value))}: {_mean_text(one)}" for one in scored)
    return (
        f"Mean {objective} on {scored_on} by {look.plain(parameter)}, with 95% intervals and "
        f"single runs as dots. {told}."
    )


def _mean_text(one: ValueScores) -> str:
    interval = "" if one.low is None else f" ({one.low:.1%} to {one.high:.1%})"
    published = "" if one.published is None else f", published {one.published:.1%}"
    return f"{one.mean:.1%}{interval}, {counted(len(one.scores), 'run')}{published}"
