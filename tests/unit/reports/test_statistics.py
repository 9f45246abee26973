import math
from statistics import StatisticsError

import numpy as np
import pytest
from scipy import stats

from histsearch.reports.statistics import (
    Contrast,
    Estimate,
    correlation,
    difference,
    difference_p,
    equivalence_p,
    estimate,
    fraction_estimate,
    holm,
    seeds_needed,
)

TUNED = [0.702, 0.711, 0.689, 0.705]
BASELINE = [0.688, 0.691, 0.660]


def test_interval_of_three_values_is_students_t() -> None:
    result = estimate([1.0, 2.0, 3.0])
    # Standard deviation 1, two degrees of freedom: 4.30265 / sqrt(3), from a printed table of t.
    assert result.mean == pytest.approx(2.0)
    assert result.half_width == pytest.approx(2.48414, abs=1e-5)
    assert result.n == 3


def test_interval_agrees_with_scipy() -> None:
    result = estimate(TUNED)
    low, high = stats.ttest_1samp(TUNED, 0.0).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((low, high))


@pytest.mark.parametrize("values", [[0.7], [0.7, 0.7], [0.6, 0.8]])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    result = estimate(values)
    assert result == Estimate(mean=0.7, half_width=None, n=len(values))
    assert result.low is None
    assert result.high is None


def test_interval_of_fractions_ends_at_0_and_1() -> None:
    high = fraction_estimate([0.8, 0.97, 0.99])
    assert high.mean - (high.half_width or 0) == high.low
    assert high.mean + (high.half_width or 0) > 1
    assert high.high == 1
    assert fraction_estimate([0.2, 0.03, 0.01]).low == 0
    assert estimate([0.8, 0.97, 0.99]).high == high.mean + (high.half_width or 0)
    assert fraction_estimate([0.9]).high is None


def test_no_value_has_no_estimate() -> None:
    with pytest.raises(ValueError, match="found no value, needed: at least one"):
        estimate([])


@pytest.mark.parametrize(("first", "second"), [(TUNED, BASELINE), (BASELINE, TUNED)])
def test_difference_has_the_welch_interval(first: list[float], second: list[float]) -> None:
    result = difference(first, second)
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert result is not None
    assert (result.low, result.high) == pytest.approx((low, high))
    assert result.mean == pytest.approx(sum(first) / len(first) - sum(second) / len(second))
    assert result.n == 7


@pytest.mark.parametrize(("first", "second"), [([0.7, 0.8], BASELINE), (TUNED, [0.7]), (TUNED, [])])
def test_difference_needs_three_values_a_side(first: list[float], second: list[float]) -> None:
    assert difference(first, second) is None


def test_difference_of_values_that_do_not_vary_has_no_width() -> None:
    assert difference([0.75] * 3, [0.5] * 3) == Estimate(mean=0.25, half_width=0.0, n=6)


def test_difference_allows_one_side_not_to_vary() -> None:
    result = difference([0.7, 0.8, 0.9], [0.5, 0.5, 0.5])
    # Two degrees of freedom are left: 4.30265 times a standard error of 0.1 / sqrt(3).
    assert result is not None
    assert result.half_width == pytest.approx(0.248414, abs=1e-5)


@pytest.mark.parametrize(("first", "second"), [(TUNED, BASELINE), (BASELINE, TUNED)])
def test_difference_is_tested_as_scipy_does(first: list[float], second: list[float]) -> None:
    expected = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert difference_p(first, second) == pytest.approx(float(expected))


@pytest.mark.parametrize("margin", [0.005, 0.03, 0.1])
@pytest.mark.parametrize(("first", "second"), [(TUNED, BASELINE), (BASELINE, TUNED)])
def test_equivalence_is_two_one_sided_tests(
    first: list[float], second: list[float], margin: float
) -> None:
    above = stats.ttest_ind(
        [value + margin for value in first], second, equal_var=False, alternative="greater"
    ).pvalue
    below = stats.ttest_ind(
        [value - margin for value in first], second, equal_var=False, alternative="less"
    ).pvalue
    assert equivalence_p(first, second, margin) == pytest.approx(float(max(above, below)))


def test_values_that_do_not_vary_are_told_apart_by_their_means() -> None:
    same, other = [0.5] * 3, [0.75] * 3
    assert (difference_p(same, other), difference_p(same, same)) == (0.0, 1.0)
    assert (equivalence_p(same, other, 0.3), equivalence_p(same, other, 0.2)) == (0.0, 1.0)


def test_holm_multiplies_by_the_hypotheses_that_are_left() -> None:
    # 4 x 0.01, 3 x 0.02 and 2 x 0.03, which may not fall below it; 0.9 is above all.
    assert holm([0.9, 0.02, 0.01, 0.03]) == pytest.approx([0.9, 0.06, 0.04, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_seeds_needed_give_the_power_that_they_promise() -> None:
    # Means 1 apart with standard deviation 1: 17 a side by tables of power (two-sided, 5%, 80%).
    spread = (2 / 3) ** 0.5
    first, second = ([mean - 1, mean, mean + 1] for mean in (spread, -spread))
    found = seeds_needed(first, second, 0.01, tests=1, most=1000)
    exact = _power(found, 2 * spread)
    assert 0.78 < exact < 0.85
    assert _power(found - 1, 2 * spread) < exact


def _power(n: int, apart: float) -> float:
    """The exact power of a two-sided t test of two samples with standard deviation 1."""
    freedom, shift = 2 * n - 2, apart * (n / 2) ** 0.5
    critical = stats.t.ppf(0.975, freedom)
    return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))


def test_equal_means_take_the_seeds_that_show_them_equivalent() -> None:
    values = [0.7, 0.71, 0.69]
    found = seeds_needed(values, values, 0.01, tests=1, most=1000)
    # Normal quantiles of 95% and 90%: 2 (1.645 + 1.282)² = 17.1, some more by Student's.
    assert 17 < found < 20
    assert seeds_needed(values, values, 0.005, tests=1, most=1000) > 3 * found
    assert seeds_needed(values, values, 0.01, tests=5, most=1000) > found
    assert seeds_needed(values, values, 1e-6, tests=1, most=1000) == 1000


def test_means_apart_by_less_than_the_margin_take_the_power_of_both_one_sided_tests() -> None:
    values = [0.7, 0.71, 0.69]
    near = [value + 0.004 for value in values]
    found = seeds_needed(values, near, 0.01, tests=1, most=1000)
    # The nearer bound decides: normal quantiles of 95% and 80%: 2 (1.645 + 0.842)² / 0.6² = 34.4.
    assert 34 < found < 37
    assert seeds_needed(near, values, 0.01, tests=1, most=1000) == found


def test_correlation_takes_three_pairs_that_vary() -> None:
    assert correlation([1.0, 2.0, 4.0], [2.0, 1.0, 5.0]) == pytest.approx(
        float(stats.pearsonr([1.0, 2.0, 4.0], [2.0, 1.0, 5.0]).statistic)
    )
    assert correlation([1.0, 2.0], [1.0, 2.0]) is None
    assert correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_a_contrast_of_two_means_is_welchs_difference() -> None:
    result = stats.ttest_ind(TUNED, BASELINE, equal_var=False)
    low, high = result.confidence_interval(0.95)
    found = Contrast.of((TUNED, BASELINE), (1.0, -1.0))
    assert found.freedom == pytest.approx(float(result.df))
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low, high))
    assert found.difference_p == pytest.approx(float(result.pvalue))


def test_a_contrast_of_averages_has_satterthwaites_distribution() -> None:
    groups = [[0.70, 0.72, 0.74], [0.60, 0.61, 0.65, 0.66], [0.50, 0.58, 0.56]]
    found = Contrast.of_averages(groups[:2], groups[2:])
    parts = [
        weight**2 * np.var(group, ddof=1) / len(group)
        for weight, group in zip((0.5, 0.5, -1.0), groups, strict=True)
    ]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(group) - 1) for part, group in zip(parts, groups, strict=True)
    )
    mean = (np.mean(groups[0]) + np.mean(groups[1])) / 2 - np.mean(groups[2])
    law = stats.t(freedom, loc=mean, scale=math.sqrt(sum(parts)))
    assert found.mean == pytest.approx(mean)
    assert found.freedom == pytest.approx(freedom)
    assert found.estimate.n == 10
    assert (found.estimate.low, found.estimate.high) == pytest.approx(law.interval(0.95))
    assert found.difference_p == pytest.approx(2 * law.cdf(0.0))
    assert found.shortfall_p(0.2) == pytest.approx(law.sf(0.2))
    assert found.excess_p(0.1) == pytest.approx(law.cdf(0.1))


def test_a_contrasts_amount_lies_above_or_below_a_margin_on_either_side() -> None:
    found, turned = Contrast.between(TUNED, BASELINE), Contrast.between(BASELINE, TUNED)
    for margin in (0.005, 0.05):
        assert found.excess_p(margin) == pytest.approx(turned.excess_p(margin))
        above = stats.ttest_ind(
            [value - margin for value in TUNED], BASELINE, equal_var=False, alternative="greater"
        ).pvalue
        assert found.excess_p(margin) == pytest.approx(float(above))
        assert found.equivalence_p(margin) == pytest.approx(1 - float(above))
    assert turned.shortfall_p(0.0) == pytest.approx(1 - found.shortfall_p(0.0))


def test_a_contrast_of_values_that_do_not_vary_is_exact() -> None:
    found = Contrast.of_averages([[0.5] * 3, [0.7] * 3], [[0.4] * 3])
    assert found.estimate.mean == pytest.approx(0.2)
    assert (found.estimate.half_width, found.freedom) == (0.0, 6)
    assert (found.difference_p, found.shortfall_p(0.1)) == (0.0, 1.0)


def test_a_contrast_takes_two_values_a_group_and_a_weight_for_each() -> None:
    with pytest.raises(StatisticsError):
        Contrast.of(([0.5], TUNED), (1.0, -1.0))
    with pytest.raises(ValueError, match="zip"):
        Contrast.of((TUNED, BASELINE), (1.0,))


def test_a_gap_to_a_single_value_is_that_of_predicting_it() -> None:
    n, spread = len(TUNED), np.std(TUNED, ddof=1)
    law = stats.t(n - 1, loc=np.mean(TUNED) - 0.9, scale=spread * math.sqrt(1 + 1 / n))
    gap = Contrast.of([TUNED], [1.0]).less_single_values(0.9)
    assert (gap.low, gap.high) == pytest.approx(law.interval(0.95))
    assert gap.n == n


def test_a_gap_to_a_difference_of_single_values_has_the_luck_of_both() -> None:
    groups = ([0.70, 0.72, 0.74], [0.60, 0.61, 0.65, 0.66])
    parts = [np.var(group, ddof=1) * (1 + 1 / len(group)) for group in groups]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(group) - 1) for part, group in zip(parts, groups, strict=True)
    )
    mean = np.mean(groups[0]) - np.mean(groups[1]) - 0.05
    law = stats.t(freedom, loc=mean, scale=math.sqrt(sum(parts)))
    gap = Contrast.between(*groups).less_single_values(0.05)
    assert (gap.low, gap.high) == pytest.approx(law.interval(0.95))
