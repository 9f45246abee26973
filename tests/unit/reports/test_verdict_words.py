"""What the verdict says of two sides that can't be told apart."""

import pytest

from histsearch.reports.comparisons import Comparison, Pair, Side, compare
from histsearch.reports.document.verdict_section import _VERDICTS


def undecided(spread: float) -> Comparison:
    """Two sides whose means differ by 0.02 points, less than the margin but not surely."""
    first = {seed: 0.5 + spread * (seed - 2) for seed in range(5)}
    second = {seed: score + 0.0002 for seed, score in first.items()}
    sides = [Side(label, "retrained", scores) for label, scores in (("a", first), ("b", second))]
    (found,) = compare([Pair(sides[0], sides[1], "R@1", 0.005)])
    assert found.verdict == "undecided"
    return found


@pytest.mark.parametrize(
    ("spread", "words"), [(0.005, "more seeds a side"), (0.3, "1,000 or more further seeds a side")]
)
def test_seeds_that_nobody_would_train_are_not_given_a_number(spread: float, words: str) -> None:
    assert words in _VERDICTS["undecided"](undecided(spread))
