"""The rules of the claims on made scores: each verdict, and which figures decide."""

from collections.abc import Sequence

import pytest
from scipy import stats

from histsearch.reports.claims.rules import (
    DELTA,
    Average,
    Finding,
    Sample,
    better,
    consistent,
    longest_consistent_ranges,
    together,
    untestable,
)

SPREAD = (-0.004, -0.002, 0.0, 0.002, 0.004)


def sample(label: str, mean: float, spread: float = 1.0) -> Sample:
    """Five scores about a mean, with a standard deviation of 0.32 points times the spread."""
    return Sample(label, [mean + spread * one for one in SPREAD])


def samples(*means: float, spread: float = 1.0) -> list[Sample]:
    return [sample(f"Nb {place}", mean, spread) for place, mean in enumerate(means)]


def excess_p(first: Sample, second: Sample, shift: float) -> float:
    """Of Welch's one-sided test that the first isn't above the second by more than a shift."""
    shifted = [one - shift for one in first.scores]
    result = stats.ttest_ind(shifted, list(second.scores), equal_var=False, alternative="greater")
    return float(result.pvalue)


def test_values_that_all_lie_close_together_are_consistent() -> None:
    found = consistent([samples(0.800, 0.803, 0.810)])
    assert found.verdict == "supported"
    assert found.sentence == (
        "Every two differ by less than 2 points; the least clear pair is Nb 0 minus Nb 2: -1.0 "
        "points, 95% interval -1.5 to -0.5 (below 2 points: p < 0.001)."
    )
    assert [(one.first, one.second) for one in found.tested] == [
        ("Nb 0", "Nb 1"),
        ("Nb 0", "Nb 2"),
        ("Nb 1", "Nb 2"),
    ]


def test_one_pair_far_apart_is_enough_against_consistency() -> None:
    found = consistent([samples(0.800, 0.801, 0.760)])
    assert found.verdict == "not supported"
    assert found.sentence == (
        "Nb 1 minus Nb 2: +4.1 points, 95% interval +3.6 to +4.6 (above 2 points: p < 0.001 after "
        "Holm's correction over 3 comparisons)."
    )


def test_what_is_neither_shown_below_nor_above_is_undecided() -> None:
    found = consistent([samples(0.800, 0.801, 0.819)])
    assert found.verdict == "undecided"
    assert found.sentence.startswith("Nb 0 minus Nb 2: -1.9 points, 95% interval -2.4 to -1.4 (")
    assert "(below 2 points: p = 0.32; above 2 points: p = 1 after Holm's" in found.sentence


def test_holms_correction_decides_over_more_values() -> None:
    apart = (0.800, 0.8252)
    alone = consistent([samples(*apart)])
    assert alone.verdict == "not supported"
    p_value = excess_p(sample("", apart[1]), sample("", apart[0]), DELTA)
    assert 0.05 / 10 < p_value < 0.05
    # The other values lie between the two, so no other pair is further apart.
    among = consistent([samples(*apart, 0.811, 0.812, 0.813)])
    assert len(among.tested) == 10
    (widest,) = [one for one in among.tested if (one.first, one.second) == ("Nb 0", "Nb 1")]
    assert widest.p_above == pytest.approx(10 * p_value)
    assert among.verdict == "undecided"


def test_pairs_are_of_one_group_and_corrected_over_all_groups() -> None:
    apart = samples(0.800, 0.8252)
    near = samples(0.810, 0.811, 0.812, 0.813)
    found = consistent([apart, near])
    assert len(found.tested) == 7
    assert found.tested[0].p_above == pytest.approx(7 * excess_p(apart[1], apart[0], DELTA))
    assert found.verdict == "undecided"
    assert consistent([samples(0.8, 0.801), samples(0.5, 0.501)]).verdict == "supported"


def test_consistency_is_two_one_sided_tests_of_every_pair() -> None:
    one, other = sample("a", 0.80), sample("b", 0.81, spread=4)
    (tested,) = consistent([[one, other]]).tested
    assert tested.p_below == pytest.approx(excess_p(one, other, -DELTA))
    assert tested.p_above == pytest.approx(excess_p(other, one, DELTA))
    assert tested.p_difference is None


def average(label: str, *means: float, spread: float = 1.0) -> Average:
    return Average(label, samples(*means, spread=spread))


def test_a_gain_is_one_of_averages_however_small() -> None:
    found = better(average("τ 24 and 32", 0.80, 0.82), average("τ 8", 0.80))
    assert found.verdict == "supported"
    assert found.sentence == (
        "τ 24 and 32 minus τ 8: +1.0 points, 95% interval +0.6 to +1.4 (a difference: p < 0.001)."
    )


def test_a_gain_that_is_shown_to_be_below_delta_is_none() -> None:
    found = better(average("τ 24", 0.8), average("τ 8", 0.8))
    assert found.verdict == "not supported"
    assert found.sentence.endswith("(a gain below 2 points: p < 0.001).")


def test_a_loss_is_no_gain() -> None:
    found = better(average("τ 24", 0.75), average("τ 8", 0.80))
    assert found.verdict == "not supported"


def test_a_gain_that_may_be_any_is_undecided() -> None:
    found = better(average("τ 24", 0.82, spread=8), average("τ 8", 0.80, spread=8))
    assert found.verdict == "undecided"
    assert "(a difference: p = 0.25; a gain below 2 points: p = 0.5)" in found.sentence


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("supported", "supported"), "supported"),
        (("supported", "not supported"), "not supported"),
        (("undecided", "not supported"), "not supported"),
        (("supported", "undecided"), "undecided"),
        (("undecided", "undecided"), "undecided"),
    ],
)
def test_a_claim_of_two_parts_takes_both(verdicts: Sequence[str], expected: str) -> None:
    parts = [Finding(verdict, f"{verdict}.") for verdict in verdicts]  # type: ignore[arg-type]
    found = together(parts)
    assert found.verdict == expected
    assert found.sentence == " ".join(f"{verdict}." for verdict in verdicts)


def test_points_with_too_few_runs_or_without_variation_are_named() -> None:
    assert untestable(samples(0.8, 0.9)) == ""
    few, none, still = Sample("Nb 8", [0.8, 0.9]), Sample("Nb 16", []), Sample("L 1", [0.8] * 3)
    assert untestable([few]) == "Nb 8 (2) has fewer than 3 complete runs."
    assert untestable([few, none, still, sample("L 2", 0.8)]) == (
        "Nb 8 (2) and Nb 16 (0) have fewer than 3 complete runs. The scores of L 1 don't vary over "
        "seeds."
    )
    assert untestable([Sample(f"Nb {at}", []) for at in range(9)]).startswith(
        "Nb 0 (0), Nb 1 (0), Nb 2 (0), Nb 3 (0), Nb 4 (0) and 4 more have"
    )


@pytest.mark.parametrize(
    ("means", "ranges"),
    [
        ((0.70, 0.75, 0.80, 0.801, 0.802), [(2, 4)]),
        ((0.80, 0.801, 0.70, 0.75, 0.751), [(0, 1), (3, 4)]),
        ((0.80, 0.801, 0.802), [(0, 2)]),
        ((0.60, 0.70, 0.80), []),
    ],
)
def test_the_longest_consistent_ranges(
    means: Sequence[float], ranges: list[tuple[int, int]]
) -> None:
    assert longest_consistent_ranges(samples(*means)) == ranges


def test_a_point_that_cannot_be_tested_ends_a_range() -> None:
    first, second, third = samples(0.8, 0.8, 0.8)
    assert longest_consistent_ranges([first, Sample("Nb 9", [0.8, 0.801]), second, third]) == [
        (2, 3)
    ]
