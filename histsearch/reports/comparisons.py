"""Which of two retrained configurations is better: verdicts over all comparisons of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

Verdict = Literal["better", "worse", "equivalent", "undecided", "no variation", "too few seeds"]


@dataclass(frozen=True)
class Side:
    """A retrained configuration that is compared.

    Attributes:
        label: Its short name.
        retraining: The retraining it belongs to.
        scores: Its score on the test classes by seed, fractions in [0, 1].
        epochs: Epochs that it was trained for; None where that isn't known.
        to_come: How many of its runs are queued or running.
        search: Its search, where a report has several; else empty.
    """

    label: str
    retraining: str
    scores: Mapping[int, float]
    epochs: int | None = None
    to_come: int = 0
    search: str = ""

    @property
    def name(self) -> str:
        """Its label, behind the search where a report has several."""
        return named(self.label, self.search)

    @property
    def values(self) -> list[float]:
        """Its scores, by seed."""
        return [self.scores[seed] for seed in sorted(self.scores)]


@dataclass(frozen=True)
class Luck:
    """A gain as a search saw it, and as the test classes show it, in fractions.

    What is lost is luck in part: a search picks the best of many scores, and the best is above its
    expectation. The other part is what its classes and the test classes differ in.

    Attributes:
        validation_gain: Of the higher validation scores that the search saw.
        test_gain: Of the mean scores over the retraining's seeds.
        lost: What the test classes don't show of the gain that the search saw; below 0 where they
            show more.
    """

    validation_gain: float
    test_gain: float
    lost: float

    @classmethod
    def of(cls, validation_gain: float, test_gain: float) -> "Luck":
        """That of two gains."""
        return cls(validation_gain, test_gain, validation_gain - test_gain)

    def __str__(self) -> str:
        """A sentence."""
        less = f"{100 * self.lost:.1f} less, by luck in part"
        return (
            f"The search saw a gain of {_points(self.validation_gain)} points, the test classes "
            f"show {_points(self.test_gain)}{f', {less}' if self.lost > 0 else ''}."
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
        remark: What else a reader must know of the two, a sentence; else empty.
    """

    first: Side
    second: Side
    objective: str
    delta: float
    on_test_classes: bool = False
    validation_gain: float | None = None
    remark: str = ""

    @property
    def fewest(self) -> int:
        """Seeds of the side that has fewer."""
        return min(len(self.first.scores), len(self.second.scores))

    @property
    def has_verdict(self) -> bool:
        """Whether both sides have seeds enough for one, and a score of either varies."""
        return self.fewest >= FEWEST_SEEDS and self.varies

    @property
    def varies(self) -> bool:
        """Whether the scores of a side vary over seeds; without, chance has no measure."""
        return any(len(set(side.values)) > 1 for side in (self.first, self.second))

    @property
    def to_come(self) -> int:
        """Runs of both sides that are queued or running."""
        return self.first.to_come + self.second.to_come

    def lacking(self, seeds: int) -> dict[str, int]:
        """By retraining, how many seeds it lacks until both sides have so many.

        Runs to come count as seeds; a retraining that lacks none is left out.
        """
        found: dict[str, int] = {}
        for side in (self.first, self.second):
            lacks = seeds - len(side.scores) - side.to_come
            if lacks > 0:
                found[side.retraining] = max(lacks, found.get(side.retraining, 0))
        return found


@dataclass(frozen=True)
class Comparison:
    """What the scores of two retrained configurations allow to say.

    Attributes:
        first: Label of the one whose gain is asked for.
        second: Label of the one that it is over.
        retraining: The retraining of the first.
        objective: Label of the metric that both were scored by.
        difference: Mean of the first minus mean of the second, with Welch's interval, as a
            fraction; None below three seeds a side, and without an interval where no score varies.
        delta: What scores may differ by and be equivalent, as a fraction.
        p_difference: P-value of the two-sided test of equal means, after Holm's correction.
        p_equivalence: P-value of two one-sided tests that they differ by `delta` or more, after
            Holm's correction; both None without a verdict.
        tests: How many comparisons these were corrected over; 0 without a verdict.
        correlation: Of the two over the same seeds; None for fewer than three, or without
            variation.
        verdict: Of the first.
        seeds_to_add: To each side besides its runs to come, about, where undecided; `MOST_SEEDS`
            stands for more, too. Where there are too few, how many a verdict needs.
        runs_to_come: Runs of both that are queued or running.
        sentence: All of it for people.
        luck: The gain that the search saw, and that of the test classes; None where it didn't run
            both.
        on_test_classes: Whether a side was selected on the test classes.
        first_search: The search of the first, where a report has several; else empty.
        second_search: The same of the second.
    """

    first: str
    second: str
    retraining: str
    objective: str
    difference: Estimate | None
    delta: float
    p_difference: float | None
    p_equivalence: float | None
    tests: int
    correlation: float | None
    verdict: Verdict
    seeds_to_add: int | None
    runs_to_come: int
    sentence: str
    luck: Luck | None
    on_test_classes: bool
    first_search: str
    second_search: str

    @property
    def names(self) -> tuple[str, str]:
        """The labels of both, each behind its search where a report has several."""
        return named(self.first, self.first_search), named(self.second, self.second_search)


def compare(pairs: Sequence[Pair]) -> list[Comparison]:
    """Judge all pairs of one report together.

    A verdict takes `FEWEST_SEEDS` seeds a side. Welch's tests decide, and not paired ones: runs of
    one seed have little in common, as `Comparison.correlation` shows of each pair.

    Holm's correction is over the pairs that get a verdict, separately for two families: the
    tests of a difference ("better", "worse") and those of equivalence. So in a report the
    probability of one false difference or more is at most 5%, and of one false equivalence or more
    at most 5%. The intervals are each of its own, and not corrected.

    Where neither side varies over seeds, chance has no measure, and there is no verdict.

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


def named(label: str, search: str) -> str:
    """A configuration's label, behind its search where that isn't empty."""
    return f"{search}: {label}" if search else label


def _not_judged(pair: Pair) -> Comparison:
    if pair.fewest >= FEWEST_SEEDS:
        text = "The scores don't vary over seeds, so there is no verdict."
        return _comparison(pair, "no variation", text)
    counts = sorted({len(pair.first.scores), len(pair.second.scores)})
    seeds = f"n = {counted(' and '.join(map(str, counts)), 'seed')}"
    seeds += " a side" if len(counts) == 1 else ""
    text = f"{seeds}; a verdict needs {FEWEST_SEEDS}{_next_step(pair, FEWEST_SEEDS)}."
    return _comparison(pair, "too few seeds", text, seeds_to_add=_to_add(pair, FEWEST_SEEDS))


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
        text = f"{first.name} is {verdict} ({p_text(p_difference, tests)}){yet}."
    elif alike:
        verdict = "equivalent"
        test = f"{EQUIVALENCE_METHOD}, {p_text(p_equivalence, tests)}"
        text = f"The two are equivalent {within} ({test})."
    else:
        verdict = "undecided"
        needed = seeds_needed(
            first.values, second.values, pair.delta, tests=tests, most=MOST_SEEDS + pair.fewest + 1
        )
        needed = max(needed, pair.fewest + 1)
        to_add = min(_to_add(pair, needed), MOST_SEEDS)
        text = f"Undecided ({p_text(p_difference, tests)}): {_what_would_tell(pair, needed)}."
    return _comparison(
        pair,
        *(verdict, text),
        p_difference=p_difference,
        p_equivalence=p_equivalence,
        tests=tests,
        seeds_to_add=to_add,
    )


def _what_would_tell(pair: Pair, needed: int) -> str:
    missing = needed - pair.fewest
    if missing > MOST_SEEDS:
        return f"only more than {MOST_SEEDS:,} more seeds a side would tell"
    return f"about {counted(missing, 'more seed')} a side would tell{_next_step(pair, needed)}"


def _to_add(pair: Pair, seeds: int) -> int:
    return max(pair.lacking(seeds).values(), default=0)


def _next_step(pair: Pair, seeds: int) -> str:
    """What leads to so many seeds a side: runs to come, then commands."""
    coming = ""
    if pair.to_come:
        is_or_are = "is" if pair.to_come == 1 else "are"
        coming = f", and {counted(pair.to_come, 'run')} {is_or_are} still to come"
    commands = [
        f"histsearch retrain {name} --add-seeds {number}"
        for name, number in pair.lacking(seeds).items()
    ]
    return coming + (f": {' and '.join(commands)}" if commands else "")


def _comparison(
    pair: Pair,
    verdict: Verdict,
    text: str,
    *,
    p_difference: float | None = None,
    p_equivalence: float | None = None,
    tests: int = 0,
    seeds_to_add: int | None = None,
) -> Comparison:
    first, second = pair.first, pair.second
    found = difference(first.values, second.values)
    if found is not None and not pair.varies:
        found = replace(found, half_width=None)
    common = sorted(first.scores.keys() & second.scores.keys())
    paired = correlation(
        [first.scores[seed] for seed in common], [second.scores[seed] for seed in common]
    )
    luck = _luck(pair)
    sentences = [
        _difference_text(pair, found),
        text,
        "" if luck is None else str(luck),
        "" if paired is None else f"Correlation over the same {len(common)} seeds: {paired:+.2f}.",
        pair.remark,
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
        tests=tests,
        correlation=paired,
        verdict=verdict,
        seeds_to_add=seeds_to_add,
        runs_to_come=pair.to_come,
        sentence=" ".join(filter(None, sentences)),
        luck=luck,
        on_test_classes=pair.on_test_classes,
        first_search=first.search,
        second_search=second.search,
    )


def _difference_text(pair: Pair, found: Estimate | None) -> str:
    first, second = pair.first, pair.second
    lengths = ""
    if first.epochs and second.epochs and first.epochs != second.epochs:
        lengths = f" ({first.epochs} against {counted(second.epochs, 'epoch')})"
    if found is None:
        return f"{first.name} against {second.name}{lengths}:"
    gain = (
        f"{first.name} minus {second.name}{lengths}: {_points(found.mean)} points of "
        f"{pair.objective}"
    )
    if found.low is None or found.high is None:
        return f"{gain}."
    return f"{gain}, Welch's 95% interval {_points(found.low)} to {_points(found.high)}."


def _luck(pair: Pair) -> Luck | None:
    if pair.validation_gain is None or pair.fewest == 0:
        return None
    means = (_mean(pair.first.values), _mean(pair.second.values))
    return Luck.of(pair.validation_gain, means[0] - means[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def p_text(p_value: float, tests: int) -> str:
    """A p-value, and over how many comparisons it was corrected, where over several."""
    shown = "p < 0.001" if p_value < 0.001 else f"p = {_rounded_p(p_value)}"
    if tests == 1:
        return shown
    return f"{shown} after {CORRECTION} correction over {tests} comparisons"


def _rounded_p(p_value: float) -> str:
    """To two digits; to more where these would put it on the other side of significance."""
    texts = [f"{p_value:.{digits}g}" for digits in range(2, 6)]
    is_significant = p_value <= SIGNIFICANCE
    return next((one for one in texts if (float(one) <= SIGNIFICANCE) == is_significant), texts[-1])


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
