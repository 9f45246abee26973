"""Means over seeds, with the interval that says how far to trust them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its 95% interval.

    Attributes:
        mean: In the unit of the values.
        half_width: Student's t interval; None for a single value, which has none.
        n: Number of values.
    """

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's t interval of independent values.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("found no value, needed: at least one")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, None, 1)
    standard_error = statistics.stdev(values) / len(values) ** 0.5
    quantile = _quantile(len(values) - 1)
    return Estimate(mean, quantile * standard_error, len(values))


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """Mean of ``first`` minus mean of ``second``, with Welch's interval for unequal variances.

    Returns:
        The estimate, its ``n`` counting both sides; None when a side has fewer than two values.
    """
    if min(len(first), len(second)) < 2:
        return None
    variances = [statistics.variance(side) / len(side) for side in (first, second)]
    mean = statistics.fmean(first) - statistics.fmean(second)
    total = sum(variances)
    if total == 0:
        return Estimate(mean, 0.0, len(first) + len(second))
    freedom = total**2 / sum(
        variance**2 / (len(side) - 1)
        for variance, side in zip(variances, (first, second), strict=True)
    )
    quantile = _quantile(freedom)
    return Estimate(mean, quantile * total**0.5, len(first) + len(second))


def _quantile(freedom: float) -> float:
    """The end of the interval of Student's distribution."""
    # A command that prints no interval is spared the import; scipy.stats takes four times as long.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
