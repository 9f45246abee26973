"""Means over seeds with their intervals, and the tests that tell two means apart or alike.

In formulas: s is a standard deviation, n a number of seeds a side, t a quantile of Student's
distribution with Welch's degrees of freedom, w the weight of a mean.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from typing_extensions import override

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
POWER = 0.8

FEWEST_FOR_INTERVAL = 3
"""Values that an interval takes; of two, Student's t is 12.7 standard errors wide."""

INTERVAL_METHOD = "Student's t interval"
DIFFERENCE_METHOD = "Welch's t interval, for unequal variances"
EQUIVALENCE_METHOD = "two one-sided Welch tests"
CORRECTION = "Holm's"


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its 95% interval.

    Attributes:
        mean: In the unit of the values.
        half_width: Of the interval; None for fewer than `FEWEST_FOR_INTERVAL` values.
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


class FractionEstimate(Estimate):
    """A mean of fractions, whose interval ends at 0 and at 1."""

    @property
    @override
    def low(self) -> float | None:
        """Lower end of the interval, 0 or more."""
        low = super().low
        return None if low is None else max(0.0, low)

    @property
    @override
    def high(self) -> float | None:
        """Upper end of the interval, 1 or less."""
        high = super().high
        return None if high is None else min(1.0, high)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's t interval of independent values.

    Raises:
        ValueError: There is no value.
    """
    return Estimate(*_interval(values))


def fraction_estimate(values: Sequence[float]) -> FractionEstimate:
    """Mean and Student's t interval of independent fractions, such as R@1 over seeds.

    Raises:
        ValueError: There is no value.
    """
    return FractionEstimate(*_interval(values))


def _interval(values: Sequence[float]) -> tuple[float, float | None, int]:
    if not values:
        raise ValueError("found no value, needed: at least one")
    mean = statistics.fmean(values)
    if len(values) < FEWEST_FOR_INTERVAL:
        return mean, None, len(values)
    standard_error = statistics.stdev(values) / len(values) ** 0.5
    return mean, _quantile((1 + CONFIDENCE) / 2, len(values) - 1) * standard_error, len(values)


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """Mean of ``first`` minus mean of ``second``, with Welch's interval for unequal variances.

    Returns:
        The estimate, its ``n`` counting both sides; None when a side has fewer than
        `FEWEST_FOR_INTERVAL` values.
    """
    if min(len(first), len(second)) < FEWEST_FOR_INTERVAL:
        return None
    return Contrast.between(first, second).estimate


def difference_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The p-value of Welch's two-sided test of equal means.

    Raises:
        statistics.StatisticsError: A side has fewer than two values.
    """
    return Contrast.between(first, second).difference_p


def equivalence_p(first: Sequence[float], second: Sequence[float], margin: float) -> float:
    """The p-value of two one-sided Welch tests that the means differ by ``margin`` or more.

    Schuirmann (1987): each test is of one direction, and the larger p-value of both counts.

    Raises:
        statistics.StatisticsError: A side has fewer than two values.
    """
    return Contrast.between(first, second).equivalence_p(margin)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's step-down method (1979), in the order given.

    Where those up to 5% are rejected, the probability that any true hypothesis of the family is
    among them is at most 5%.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, highest)
    return adjusted


def seeds_needed(
    first: Sequence[float], second: Sequence[float], margin: float, *, tests: int, most: int
) -> int:
    """About how many seeds a side would tell two means apart, or show them equivalent.

    The fewest with which one of the two tests succeeds with a probability of 80%, if the
    difference d and both standard deviations are as they were seen:
    ``(t(1 - a/2) + t(0.8)) s <= |d|`` or
    ``F((margin - d) / s - t(1 - a)) + F((margin + d) / s - t(1 - a)) - 1 >= 0.8``, where s is
    ``sqrt((s1² + s2²) / n)``, F Student's distribution function and a is 5% divided by the number
    of tests (Bonferroni's bound of Holm's first step). The second is the probability that both
    one-sided tests of the equivalence succeed (Schuirmann, 1987), by a shifted Student's
    distribution in place of the noncentral one.

    Args:
        first: Values of one side.
        second: Values of the other.
        margin: What means may differ by and be equivalent.
        tests: How many comparisons are made.
        most: The highest answer; it stands for more, too.

    Raises:
        statistics.StatisticsError: A side has fewer than two values.
    """
    seen = Contrast.between(first, second)
    low, high = 2, most
    while low < high:  # more seeds never tell less
        middle = (low + high) // 2
        planned = seen._replace(counts=(middle, middle))
        if _would_tell(planned, margin, SIGNIFICANCE / tests):
            high = middle
        else:
            low = middle + 1
    return low


def _would_tell(planned: "Contrast", margin: float, level: float) -> bool:
    apart = planned.quantile(1 - level / 2) + planned.quantile(POWER)
    if apart * planned.standard_error <= abs(planned.mean):
        return True
    bound = margin - planned.quantile(1 - level) * planned.standard_error
    fails = planned.tail(bound - planned.mean) + planned.tail(bound + planned.mean)
    return 1 - fails >= POWER


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation of paired values.

    Returns:
        It; None for fewer than three pairs, or where a side doesn't vary.
    """
    if len(first) < FEWEST_FOR_INTERVAL:
        return None
    try:
        return statistics.correlation(first, second)
    except statistics.StatisticsError:
        return None


class Contrast(NamedTuple):
    """A weighted sum of means, and its distribution by Welch's and Satterthwaite's approximation.

    The variance of each group of values is its own. With the weights 1 and -1 it is Welch's
    difference of two means (1947).

    Attributes:
        mean: The sum, in the unit of the values.
        weights: Of each group's mean.
        variances: Of the values of each group.
        counts: How many values each group has.
    """

    mean: float
    weights: tuple[float, ...]
    variances: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[float]], weights: Sequence[float]) -> "Contrast":
        """The sum of the means of some groups of independent values, by weight.

        Args:
            groups: The values of each.
            weights: The weight of each mean.

        Raises:
            statistics.StatisticsError: A group has fewer than two values.
            ValueError: There are more or fewer weights than groups.
        """
        means = map(statistics.fmean, groups)
        return cls(
            sum(weight * mean for weight, mean in zip(weights, means, strict=True)),
            tuple(weights),
            tuple(map(statistics.variance, groups)),
            tuple(map(len, groups)),
        )

    @classmethod
    def between(cls, first: Sequence[float], second: Sequence[float]) -> "Contrast":
        """Mean of ``first`` minus mean of ``second``."""
        return cls.of((first, second), (1.0, -1.0))

    @classmethod
    def of_averages(
        cls, first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
    ) -> "Contrast":
        """The average of some groups' means minus that of others, each group weighing the same."""
        weights = [1 / len(first)] * len(first) + [-1 / len(second)] * len(second)
        return cls.of([*first, *second], weights)

    @property
    def _of_means(self) -> list[float]:
        """The variance of each weighted mean, w² s² / n."""
        return [
            weight**2 * variance / n
            for weight, variance, n in zip(self.weights, self.variances, self.counts, strict=True)
        ]

    @property
    def standard_error(self) -> float:
        """Of the sum, ``sqrt(Σ w² s² / n)``."""
        return math.sqrt(sum(self._of_means))

    @property
    def freedom(self) -> float:
        """Degrees of freedom, Satterthwaite's (1946); where no group varies, as many as allowed."""
        return _freedom(self._of_means, self.counts)

    @property
    def estimate(self) -> Estimate:
        """It with its 95% interval, its ``n`` counting all values."""
        half_width = self.quantile((1 + CONFIDENCE) / 2) * self.standard_error
        return Estimate(self.mean, half_width, sum(self.counts))

    def less_single_values(self, other: float) -> Estimate:
        """It less the same sum of one value a group that somebody else drew, with its 95% interval.

        Each of those is taken to vary as its group does, so that a group's part of the variance is
        ``w² s² (1/n + 1)``, and the interval that of predicting it.

        Args:
            other: The sum of the others' values.
        """
        variances = [
            variance * (n + 1) for variance, n in zip(self._of_means, self.counts, strict=True)
        ]
        quantile = _quantile((1 + CONFIDENCE) / 2, _freedom(variances, self.counts))
        half_width = quantile * math.sqrt(sum(variances))
        return Estimate(self.mean - other, half_width, sum(self.counts))

    @property
    def difference_p(self) -> float:
        """The p-value of the two-sided test that it is 0."""
        return 2 * self.tail(abs(self.mean))

    def equivalence_p(self, margin: float) -> float:
        """The p-value of two one-sided tests that its amount is ``margin`` or more."""
        return self.tail(margin - abs(self.mean))

    def excess_p(self, margin: float) -> float:
        """The p-value of a one-sided test, on the side where it lies, of ``margin`` or less."""
        return self.tail(abs(self.mean) - margin)

    def shortfall_p(self, margin: float) -> float:
        """The p-value of a one-sided test that it is ``margin`` or more, its sign counting."""
        return self.tail(margin - self.mean)

    def quantile(self, probability: float) -> float:
        """Of Student's distribution with its degrees of freedom."""
        return _quantile(probability, self.freedom)

    def tail(self, distance: float) -> float:
        """The probability of a sum that lies further than ``distance`` above the true one."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0 if distance < 0 else 0.5
        return float(stdtr(self.freedom, -distance / self.standard_error))


def _freedom(variances: Sequence[float], counts: Sequence[int]) -> float:
    """Satterthwaite's degrees of freedom of a sum; where no part varies, as many as allowed."""
    total = sum(variances)
    if total == 0:
        return sum(counts) - len(counts)
    parts = zip(variances, counts, strict=True)
    return total**2 / sum(variance**2 / (n - 1) for variance, n in parts)


def _quantile(probability: float, freedom: float) -> float:
    # A command that prints no interval is spared the import; scipy.stats takes four times as long.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
