"""The axis of scores, in percent."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from histsearch.figures.look import QUIET, scatter
from histsearch.wording import counted

PERCENT = 100.0

_FENCE = 3.0  # interquartile ranges below the lower quartile: what lies beyond is far off,
_LEAST_FENCE = 10.0  # points, where these are narrow
_ROOM = 0.4  # of the axis: what far scores may take up before they are set on its edge
_LEAST_SPAN = 5.0  # points
_MARGIN = 0.08


class ScoreAxis:
    """The span of the scores that a figure shows, in percent.

    A few that lie far below all others, as those of runs that diverged, are set on its lower edge.

    Args:
        scores: Them, in [0, 1]; at least one.

    Attributes:
        low: Its lower end.
        high: Its upper end.
    """

    def __init__(self, scores: Sequence[float]) -> None:
        scores_N = PERCENT * np.array(scores, dtype=float)
        lower, upper = np.percentile(scores_N, (25, 75))
        near_N = scores_N[scores_N >= lower - max(_FENCE * (upper - lower), _LEAST_FENCE)]
        smallest, largest = float(scores_N.min()), float(scores_N.max())
        if float(near_N.min()) - smallest > _ROOM * (largest - smallest):
            smallest = float(near_N.min())
        if largest - smallest < _LEAST_SPAN:
            smallest = max(largest - _LEAST_SPAN, 0.0)
            largest = max(largest, smallest + _LEAST_SPAN)
        margin = _MARGIN * (largest - smallest)
        self.low = max(smallest - margin, 0.0) if smallest >= 0 else smallest - margin
        self.high = min(largest + margin, PERCENT + margin / 2)
        self._edge = self.low + margin / 5

    def height(self, score: float) -> float:
        """Where a score in [0, 1] is drawn, in percent."""
        return PERCENT * score if self.holds(score) else self._edge

    def holds(self, score: float) -> bool:
        """Whether a score is drawn where it belongs, not on the edge."""
        return PERCENT * score >= self.low

    def apply(self, axes: Axes, label: str | None = None) -> None:
        """Give a panel this axis, and its label where it has one."""
        axes.set_ylim(self.low, self.high)
        axes.grid(axis="y")
        if label is not None:
            axes.set_ylabel(label)

    def mark_far(self, axes: Axes, x: Sequence[float], scores: Sequence[float]) -> None:
        """Draw those of some scores that lie below the axis on its edge."""
        far = [
            (place, self._edge)
            for place, score in zip(x, scores, strict=True)
            if not self.holds(score)
        ]
        scatter(axes, far, 14.0, marker="v", color=QUIET, label="_far")

    def far_note(self, scores: Sequence[float]) -> list[str]:
        """The sentence that says how many of some scores lie below the axis, where any do."""
        far = sum(not self.holds(score) for score in scores)
        return [f"▾ {counted(far, 'trial')} below {self.low:.1f}%"] if far else []
