import pytest
from scipy import stats

from histsearch.reports.statistics import Estimate, difference, estimate

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


def test_single_value_has_no_interval() -> None:
    result = estimate([0.7])
    assert result == Estimate(mean=0.7, half_width=None, n=1)
    assert result.low is None
    assert result.high is None


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


@pytest.mark.parametrize(("first", "second"), [([0.7], BASELINE), (TUNED, [0.7]), (TUNED, [])])
def test_difference_needs_two_values_a_side(first: list[float], second: list[float]) -> None:
    assert difference(first, second) is None


def test_difference_of_values_that_do_not_vary_has_no_width() -> None:
    assert difference([0.75, 0.75], [0.5, 0.5]) == Estimate(mean=0.25, half_width=0.0, n=4)


def test_difference_allows_one_side_not_to_vary() -> None:
    result = difference([0.7, 0.8], [0.5, 0.5])
    # One degree of freedom is left: 12.7062 times a standard error of 0.05.
    assert result is not None
    assert result.half_width == pytest.approx(0.63531, abs=1e-5)
