"""Which of two retrained configurations is better: verdicts over all comparisons of a report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from histsearch.reports.statistics import (
    CORRECTION,
    EQUIVALENCE_METHOD,
    SIGNIFICANCE,
    Estimate,
    correlation,
    difference,
    difference_p,
    equivalence_p,
    holm,
    seeds_needed,
)
from histsearch.studies.retraining_seeds import MOST_SEEDS
from histsearch.wording import counted

FEWEST_SEEDS = 5
"""Of each side, for a verdict."""

Verdict = Literal["better", "worse", "equivalent", "undecided", "too few seeds"]


@dataclass(frozen=True)
class Side:
    """A retrained configuration that is compared.

    Attributes:
        label: Its short name.
        retraining: The retraining it belongs to.
        scores: Its score on the test classes by seed, fractions in [0, 1].
    """

    label: str
    retraining: str
    scores: Mapping[int, float]

    @property
    def values(self) -> list[float]:
        """Its scores, by seed."""
        return [self.scores[seed] for seed in sorted(self.scores)]


@dataclass(frozen=True)
class Luck:
    """A gain as a search saw it, and as the test classes show it, in fractions.

    The difference is luck in part: a search picks the best of many scores, and the best is above
    its expectation. The other part is what its classes and the test classes differ in.

    Attributes:
        validation_gain: Of the higher validation scores that the search saw.
        test_gain: Of the mean scores over the retraining's seeds.
    """

    validation_gain: float
    test_gain: float

    @property
    def lost(self) -> float:
        """What the test classes don't show of the gain that the search saw."""
        return self.validation_gain - self.test_gain

    def __str__(self) -> str:
        """A sentence."""
        return (
            f"The search saw a gain of {_points(self.validation_gain)} points, the test classes "
            f"show {_points(self.test_gain)}."
        )


@dataclass(frozen=True)
class Pair:
    """Two sides to compare.

    Attributes:
        first: The side whose gain is asked for.
        second: The side that it is over.
        objective: Label of the metric that both were scored by.
        delta: What scores may differ by and be equivalent, as a fraction.
        on_test_classes: Whether a side was selected on the test classes.
        validation_gain: Of the first over the second as the search saw it, as a fraction; None
            where it didn't run both.
    """

    first: Side
    second: Side
    objective: str
    delta: float
    on_test_classes: bool = False
    validation_gain: float | None = None

    @property
    def fewest(self) -> int:
        """Seeds of the side that has fewer."""
        return min(len(self.first.scores), len(self.second.scores))

    @property
    def has_verdict(self) -> bool:
        """Whether both sides have seeds enough for one."""
        return self.fewest >= FEWEST_SEEDS


@dataclass(frozen=True)
class Comparison:
    """What the scores of two retrained configurations allow to say.

    Attributes:
        first: Label of the one whose gain is asked for.
        second: Label of the one that it is over.
        retraining: The retraining of the first.
        objective: Label of the metric that both were scored by.
        difference: Mean of the first minus mean of the second, with Welch's interval, as a
            fraction; None below three seeds a side.
        delta: What scores may differ by and be equivalent, as a fraction.
        p_difference: P-value of the two-sided test of equal means, after Holm's correction.
        p_equivalence: P-value of two one-sided tests that they differ by `delta` or more, after
            Holm's correction; both None without a verdict.
        correlation: Of the two over equal seeds; None for fewer than three, or without variation.
        verdict: Of the first.
        seeds_to_add: To each side, about, where undecided; `MOST_SEEDS` stands for more, too. Where
            there are too few, how many a verdict needs.
        sentence: All of it for people.
        luck: The gain that the search saw, and that of the test classes; None where it didn't run
            both.
    """

    first: str
    second: str
    retraining: str
    objective: str
    difference: Estimate | None
    delta: float
    p_difference: float | None
    p_equivalence: float | None
    correlation: float | None
    verdict: Verdict
    seeds_to_add: int | None
    sentence: str
    luck: Luck | None


def compare(pairs: Sequence[Pair]) -> list[Comparison]:
    """Judge all pairs of one report together.

    A verdict takes `FEWEST_SEEDS` seeds a side. Welch's tests decide, and not paired ones: runs of
    one seed have little in common, as `Comparison.correlation` shows of each pair.

    Holm's correction is over the pairs that get a verdict, by itself for each of two families: the
    tests of a difference ("better", "worse") and those of equivalence. So in a report the
    probability of one false difference or more is at most 5%, and of one false equivalence or more
    at most 5%. The intervals are each of its own, and not corrected.

    A difference that is significant is "better" or "worse" even where it is shown to be within
    delta, as the sentence then says.
    """
    judged = [pair for pair in pairs if pair.has_verdict]
    apart = holm([difference_p(pair.first.values, pair.second.values) for pair in judged])
    alike = holm(
        [equivalence_p(pair.first.values, pair.second.values, pair.delta) for pair in judged]
    )
    p_values = iter(zip(apart, alike, strict=True))
    return [
        _judged(pair, *next(p_values), len(judged)) if pair.has_verdict else _not_judged(pair)
        for pair in pairs
    ]


def _not_judged(pair: Pair) -> Comparison:
    to_add = FEWEST_SEEDS - pair.fewest
    counts = sorted({len(pair.first.scores), len(pair.second.scores)})
    seeds = f"n = {counted(' and '.join(map(str, counts)), 'seed')}"
    seeds += " a side" if len(counts) == 1 else ""
    need = f"{seeds}; a verdict needs {FEWEST_SEEDS}: {_more_seeds(pair, to_add)}."
    return _comparison(pair, "too few seeds", need, seeds_to_add=to_add)


def _judged(pair: Pair, p_difference: float, p_equivalence: float, tests: int) -> Comparison:
    first, second = pair.first, pair.second
    gain = difference(first.values, second.values)
    assert gain is not None
    within = f"within {counted(f'{100 * pair.delta:.3g}', 'point')}"
    alike = p_equivalence <= SIGNIFICANCE
    verdict: Verdict
    to_add = None
    if p_difference <= SIGNIFICANCE:
        verdict = "better" if gain.mean > 0 else "worse"
        yet = f", yet the two are equivalent {within}" if alike else ""
        text = f"{first.label} is {verdict} ({_p_text(p_difference, tests)}){yet}."
    elif alike:
        verdict = "equivalent"
        test = f"{EQUIVALENCE_METHOD}, {_p_text(p_equivalence, tests)}"
        text = f"The two are equivalent {within} ({test})."
    else:
        verdict = "undecided"
        needed = seeds_needed(
            first.values, second.values, pair.delta, tests=tests, most=MOST_SEEDS + pair.fewest + 1
        )
        missing = max(1, needed - pair.fewest)
        to_add = min(missing, MOST_SEEDS)
        text = _undecided(pair, missing, p_difference, tests)
    return _comparison(pair, verdict, text, p_difference, p_equivalence, to_add)


def _undecided(pair: Pair, missing: int, p_difference: float, tests: int) -> str:
    test = _p_text(p_difference, tests)
    if missing > MOST_SEEDS:
        return f"Undecided ({test}): only more than {MOST_SEEDS:,} more seeds a side would tell."
    return (
        f"Undecided ({test}): about {counted(missing, 'more seed')} a side would tell: "
        f"{_more_seeds(pair, missing)}."
    )


def _comparison(
    pair: Pair,
    verdict: Verdict,
    text: str,
    p_difference: float | None = None,
    p_equivalence: float | None = None,
    seeds_to_add: int | None = None,
) -> Comparison:
    first, second = pair.first, pair.second
    found = difference(first.values, second.values)
    common = sorted(first.scores.keys() & second.scores.keys())
    paired = correlation(
        [first.scores[seed] for seed in common], [second.scores[seed] for seed in common]
    )
    luck = _luck(pair)
    sentences = [
        _difference_text(pair, found),
        text,
        "" if luck is None else str(luck),
        "" if paired is None else f"Correlation over {len(common)} equal seeds: {paired:+.2f}.",
        "Selected on the test classes: no fair estimate." if pair.on_test_classes else "",
    ]
    return Comparison(
        first=first.label,
        second=second.label,
        retraining=first.retraining,
        objective=pair.objective,
        difference=found,
        delta=pair.delta,
        p_difference=p_difference,
        p_equivalence=p_equivalence,
        correlation=paired,
        verdict=verdict,
        seeds_to_add=seeds_to_add,
        sentence=" ".join(filter(None, sentences)),
        luck=luck,
    )


def _difference_text(pair: Pair, found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return f"{pair.first.label} against {pair.second.label}:"
    return (
        f"{pair.first.label} minus {pair.second.label}: {_points(found.mean)} points of "
        f"{pair.objective}, Welch's 95% interval {_points(found.low)} to {_points(found.high)}."
    )


def _luck(pair: Pair) -> Luck | None:
    if pair.validation_gain is None or pair.fewest == 0:
        return None
    means = (_mean(pair.first.values), _mean(pair.second.values))
    return Luck(pair.validation_gain, means[0] - means[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _more_seeds(pair: Pair, number: int) -> str:
    names: Iterable[str] = dict.fromkeys((pair.first.retraining, pair.second.retraining))
    return " and ".join(f"histsearch retrain {name} --add-seeds {number}" for name in names)


def _p_text(p_value: float, tests: int) -> str:
    shown = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    return shown if tests == 1 else f"{shown} after {CORRECTION} correction over {tests}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
