"""The test scores of losses that were tuned alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import PERCENT

_NAME = "losses"
_BELOW = 0.26  # of a row: where the dots of its seeds lie
_LONGEST = 36
_MARGIN = 0.08  # of the width, on each side
_LEAST_SPAN = 1.0  # points


@dataclass(frozen=True)
class LossScores:
    """The scores of a loss's winner on the test classes, fractions in [0, 1].

    Attributes:
        name: What it is called.
        scores: Of each seed; at least one.
        mean: Over seeds.
        low: Lower end of the mean's 95% interval; None for too few seeds.
        high: Its upper end.
    """

    name: str
    scores: Sequence[float]
    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """The mean with its interval and the number of seeds, in percent."""
        seeds = f"n = {len(self.scores)}"
        if self.low is None or self.high is None:
            return f"{PERCENT * self.mean:.1f} ({seeds})"
        ends = f"{PERCENT * self.low:.1f} to {PERCENT * self.high:.1f}"
        return f"{PERCENT * self.mean:.1f} ({ends}, {seeds})"


@look.our_look
def losses(tested: Sequence[LossScores], objective: str) -> Drawn | Missing:
    """The mean test score of each loss with its interval, and the score of each seed.

    Args:
        tested: They, in the order of their rows.
        objective: Label of the metric.
    """
    title = f"{objective} of each loss's winner on the test classes, with 95% intervals over seeds"
    if not tested:
        return Missing(_NAME, title, "No search can be compared yet.")
    figure = look.new_figure(0.75 + 0.3 * len(tested))
    axes = figure.subplots()
    look.rows(axes, [look.text(one.name, _LONGEST) for one in tested])
    axes.set_xlim(*_ends(tested))
    axes.set_xlabel(f"{objective} in %, test classes")
    for row, one in enumerate(tested):
        _draw(axes, row, one)
    look.note(figure, ["● mean with 95% interval  ○ one seed", "on the right: the same in numbers"])
    return Drawn(_NAME, title, _alt(tested, objective), figure)


def _ends(tested: Sequence[LossScores]) -> tuple[float, float]:
    """The ends of the axis: what is drawn, and a margin."""
    shown = [value for one in tested for value in (*one.scores, one.low, one.high)]
    values = [PERCENT * value for value in shown if value is not None]
    low, high = min(values), max(values)
    margin = _MARGIN * max(high - low, _LEAST_SPAN)
    return low - margin, high + margin


def _draw(axes: Axes, row: int, one: LossScores) -> None:
    if one.low is not None and one.high is not None:
        ends = (PERCENT * one.low, PERCENT * one.high)
        axes.plot(ends, (row, row), color=look.STRONG, lw=1.4, alpha=0.6)
    axes.plot(PERCENT * one.mean, row, marker="o", ms=5.0, mfc=look.STRONG, mec=look.STRONG)
    seeds = [(PERCENT * score, row + _BELOW) for score in one.scores]
    look.scatter(axes, seeds, **look.hollow(9.0, look.QUIET))
    look.beside_row(axes, row, str(one))


def _alt(tested: Sequence[LossScores], objective: str) -> str:
    told = "; ".join(f"{look.plain(one.name, _LONGEST)} {one}" for one in tested)
    return (
        f"Mean {objective} on the test classes in percent with its 95% interval, and single seeds "
        f"as dots, one row a loss: {told}."
    )
