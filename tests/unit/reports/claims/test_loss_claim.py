"""Claim 5 on made comparisons: each verdict, and comparisons that are missing."""

from collections.abc import Sequence

import pytest

from histsearch.reports.claims.loss_claim import (
    DELTA,
    LOSS_PAIRS,
    LossComparison,
    judge_losses,
)
from histsearch.reports.comparisons import Comparison, Pair, Side, Verdict, compare
from histsearch.space.reading import builtin_spaces

SCORES: dict[Verdict, tuple[Sequence[float], Sequence[float]]] = {
    "better": ([0.80, 0.801, 0.802, 0.803, 0.804], [0.70, 0.701, 0.702, 0.703, 0.704]),
    "worse": ([0.70, 0.701, 0.702, 0.703, 0.704], [0.80, 0.801, 0.802, 0.803, 0.804]),
    "equivalent": ([0.70, 0.701, 0.702, 0.703, 0.704], [0.704, 0.703, 0.702, 0.701, 0.70]),
    "undecided": ([0.70, 0.71, 0.72, 0.73, 0.74], [0.74, 0.73, 0.72, 0.71, 0.70]),
    "no variation": ([0.7] * 5, [0.7] * 5),
    "too few seeds": ([0.7, 0.8], [0.7, 0.8]),
}
MISSING = LossComparison(("a", "b"), None, "it isn't there")


def comparison(verdict: Verdict) -> Comparison:
    first, second = (
        Side("winner", f"{name}-retrain", dict(enumerate(scores)), search=name)
        for name, scores in zip(("hist", "proxy-anchor"), SCORES[verdict], strict=True)
    )
    (made,) = compare([Pair(first, second, "R@1", DELTA)])
    assert made.verdict == verdict
    return made


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["better"], "supported"),
        (["better", "equivalent"], "supported"),
        (["equivalent", "equivalent"], "not supported"),
        (["better", "worse"], "not supported"),
        (["worse", "undecided"], "not supported"),
        (["better", "undecided"], "undecided"),
        (["better", "no variation"], "undecided"),
        (["better", "too few seeds"], "undecided"),
    ],
)
def test_its_verdict_takes_all_comparisons(verdicts: list[Verdict], expected: str) -> None:
    made = [LossComparison(("a", "b"), comparison(verdict)) for verdict in verdicts]
    found = judge_losses(made)
    assert found.verdict == expected
    assert found.sentence.count("hist: winner") >= len(verdicts)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("better", "undecided"), ("equivalent", "undecided"), ("worse", "not supported")],
)
def test_a_missing_comparison_leaves_it_undecided_unless_one_is_worse(
    verdict: Verdict, expected: str
) -> None:
    found = judge_losses([LossComparison(("a", "b"), comparison(verdict)), MISSING])
    assert found.verdict == expected
    assert found.sentence.endswith("1 of its 2 comparisons can't be made yet.")


def test_without_any_comparison_it_is_undecided() -> None:
    assert judge_losses([MISSING, MISSING]).verdict == "undecided"
    found = judge_losses([])
    assert (found.verdict, found.sentence) == (
        "undecided",
        "No comparison of losses belongs to this folder.",
    )


def test_the_spaces_of_small_claims_come_with_histsearch() -> None:
    known = builtin_spaces()
    for pair in LOSS_PAIRS["claims/small"]:
        assert known.keys() >= set(pair)
