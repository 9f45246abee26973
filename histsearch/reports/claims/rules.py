"""The rules by which a claim of the paper is supported, not supported or undecided.

They are those of docs/claims.md, and were fixed before any of the runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from histsearch.reports.comparisons import p_text
from histsearch.reports.statistics import (
    FEWEST_FOR_INTERVAL,
    SIGNIFICANCE,
    Contrast,
    Estimate,
    holm,
)
from histsearch.wording import counted

DELTA = 0.02
"""What R@1 may differ by and be consistent, as a fraction."""

FEWEST_RUNS = FEWEST_FOR_INTERVAL
"""Of each point, for a verdict."""

ClaimVerdict = Literal["supported", "not supported", "undecided"]

_POINTS = 100
_MOST_NAMED = 5


@dataclass(frozen=True)
class Sample:
    """The scores of a point of a grid over seeds.

    Attributes:
        label: The point by its values, such as "Nb 32".
        scores: One for each seed, fractions in [0, 1].
    """

    label: str
    scores: Sequence[float]

    @property
    def varies(self) -> bool:
        """Whether the scores differ; without, chance has no measure."""
        return len(set(self.scores)) > 1

    @property
    def is_testable(self) -> bool:
        """Whether a rule can test it: it has runs enough, and they vary."""
        return len(self.scores) >= FEWEST_RUNS and self.varies


@dataclass(frozen=True)
class TestedDifference:
    """A difference of averages that a rule tested.

    Attributes:
        first: Name of the one side.
        second: Name of the side that is taken from it.
        difference: With Welch's 95% interval, as a fraction.
        p_difference: P-value of the two-sided test of equal averages; None where none is asked.
        p_below: P-value of the test that it isn't below `DELTA`: two one-sided tests for a pair of
            values, one for a gain.
        p_above: P-value of the one-sided test that it isn't above `DELTA`, after Holm's correction
            over all pairs; None for a gain.
    """

    first: str
    second: str
    difference: Estimate
    p_difference: float | None
    p_below: float
    p_above: float | None

    def __str__(self) -> str:
        """The difference with its interval, in points."""
        mean, *ends = (
            f"{_POINTS * value:+z.1f}"
            for value in (self.difference.mean, self.difference.low, self.difference.high)
            if value is not None
        )
        return f"{self.first} minus {self.second}: {mean} points, 95% interval {' to '.join(ends)}"


@dataclass(frozen=True)
class Finding:
    """What a rule says of some scores.

    Attributes:
        verdict: Whether the claim, or its part, is supported.
        sentence: The figures that decide.
        tested: All differences that were tested.
    """

    verdict: ClaimVerdict
    sentence: str
    tested: Sequence[TestedDifference] = ()


def consistent(groups: Sequence[Sequence[Sample]]) -> Finding:
    """Whether every two samples of each group differ by less than `DELTA`.

    Supported where two one-sided tests show that of every pair, which takes no correction as all
    must succeed. Not supported where a one-sided test shows a difference above `DELTA` for some
    pair, after Holm's correction over the pairs of all groups.

    Args:
        groups: Testable samples; pairs are of one group.
    """
    pairs = _tested_pairs(groups)
    least_alike = max(pairs, key=lambda one: one.p_below)
    furthest = min(pairs, key=lambda one: (_above(one), -abs(one.difference.mean)))
    below = f"below {_delta_text()}: {p_text(least_alike.p_below, 1)}"
    if least_alike.p_below <= SIGNIFICANCE:
        sentence = f"Every two differ by less than {_delta_text()}; the least clear pair is"
        return Finding("supported", f"{sentence} {least_alike} ({below}).", pairs)
    if _above(furthest) <= SIGNIFICANCE:
        return Finding("not supported", f"{furthest} ({_above_text(furthest, pairs)}).", pairs)
    return Finding(
        "undecided", f"{least_alike} ({below}; {_above_text(least_alike, pairs)}).", pairs
    )


def _above_text(one: TestedDifference, pairs: Sequence[TestedDifference]) -> str:
    return f"above {_delta_text()}: {p_text(_above(one), len(pairs))}"


def _above(one: TestedDifference) -> float:
    assert one.p_above is not None
    return one.p_above


def _tested_pairs(groups: Sequence[Sequence[Sample]]) -> list[TestedDifference]:
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    contrasts = [Contrast.between(one.scores, other.scores) for one, other in pairs]
    above = holm([contrast.excess_p(DELTA) for contrast in contrasts])
    return [
        TestedDifference(
            one.label,
            other.label,
            contrast.estimate,
            p_difference=None,
            p_below=contrast.equivalence_p(DELTA),
            p_above=p_above,
        )
        for (one, other), contrast, p_above in zip(pairs, contrasts, above, strict=True)
    ]


@dataclass(frozen=True)
class Average:
    """Samples that are averaged.

    Attributes:
        label: Their name, such as "α above 0".
        samples: Testable ones, each weighing the same.
    """

    label: str
    samples: Sequence[Sample]


def better(first: Average, second: Average) -> Finding:
    """Whether the average of one side is higher than that of the other.

    Supported where a two-sided test shows a difference and it is a gain; else not supported where
    a one-sided test shows that the gain is below `DELTA`.
    """
    contrast = Contrast.of_averages(
        [one.scores for one in first.samples], [one.scores for one in second.samples]
    )
    tested = TestedDifference(
        first.label,
        second.label,
        contrast.estimate,
        p_difference=contrast.difference_p,
        p_below=contrast.shortfall_p(DELTA),
        p_above=None,
    )
    differs = f"a difference: {p_text(contrast.difference_p, 1)}"
    below = f"a gain below {_delta_text()}: {p_text(tested.p_below, 1)}"
    if contrast.difference_p <= SIGNIFICANCE and contrast.mean > 0:
        return Finding("supported", f"{tested} ({differs}).", [tested])
    if tested.p_below <= SIGNIFICANCE:
        return Finding("not supported", f"{tested} ({below}).", [tested])
    return Finding("undecided", f"{tested} ({differs}; {below}).", [tested])


def together(parts: Sequence[Finding]) -> Finding:
    """A claim with parts: supported where all are, not supported where one isn't."""
    verdicts = {part.verdict for part in parts}
    verdict: ClaimVerdict = "undecided"
    if verdicts == {"supported"}:
        verdict = "supported"
    elif "not supported" in verdicts:
        verdict = "not supported"
    return Finding(
        verdict,
        " ".join(part.sentence for part in parts),
        [one for part in parts for one in part.tested],
    )


def untestable(samples: Sequence[Sample]) -> str:
    """What keeps a claim undecided in some samples, a sentence; empty for nothing."""
    few = [f"{one.label} ({len(one.scores)})" for one in samples if len(one.scores) < FEWEST_RUNS]
    still = [one.label for one in samples if len(one.scores) >= FEWEST_RUNS and not one.varies]
    sentences = []
    if few:
        sentences.append(
            f"{_named(few)} {_have(few)} fewer than {counted(FEWEST_RUNS, 'complete run')}."
        )
    if still:
        sentences.append(f"The scores of {_named(still)} don't vary over seeds.")
    return " ".join(sentences)


def _named(labels: Sequence[str]) -> str:
    if len(labels) > _MOST_NAMED:
        return f"{', '.join(labels[:_MOST_NAMED])} and {len(labels) - _MOST_NAMED} more"
    *first, last = labels
    return f"{', '.join(first)} and {last}" if first else last


def _have(labels: Sequence[str]) -> str:
    return "has" if len(labels) == 1 else "have"


def longest_consistent_ranges(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """The longest runs of neighbouring samples that are consistent, without a verdict.

    Args:
        samples: In the order of their values.

    Returns:
        The first and the last place of each, two at least; empty where no two neighbours are.
    """
    number = len(samples)
    for length in range(number, 1, -1):
        found = [
            (first, first + length - 1)
            for first in range(number - length + 1)
            if _are_consistent(samples[first : first + length])
        ]
        if found:
            return found
    return []


def _are_consistent(samples: Sequence[Sample]) -> bool:
    return all(_is_alike(one, other) for one, other in combinations(samples, 2))


def _is_alike(one: Sample, other: Sample) -> bool:
    if not (one.is_testable and other.is_testable):
        return False
    return Contrast.between(one.scores, other.scores).equivalence_p(DELTA) <= SIGNIFICANCE


def _delta_text() -> str:
    return f"{_POINTS * DELTA:g} points"
