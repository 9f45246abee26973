"""Searches that were tuned alike, by the test scores of their winners: who is better than whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from histsearch.reports.comparisons import Comparison, Verdict
from histsearch.reports.report import Report, Retrained
from histsearch.reports.statistics import Estimate
from histsearch.studies.trial_record import DEVICE
from histsearch.wording import counted, names_text

_TOLD = 2  # of the searches of a ranking, in its sentences
_PERCENT = 100.0
_NO_FAIR_ESTIMATE = "Selected on the test classes: no fair estimate."
_TURNED: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class RankedSearch:
    """A search among those that were tuned alike.

    Attributes:
        study: Its name.
        loss: Its loss, as its space names it.
        lack: Why it isn't compared yet, such as "hasn't ended"; None where it is.
        winner: Label of its winner as it was retrained; None where it isn't compared.
        score: That winner's score on the test classes over seeds, a fraction.
        scores: The score of each seed.
        better_than: The searches whose winners its own is better than.
        equivalent_to: Those whose winners its own is equivalent to.
        undecided_with: Those with which it is undecided, for too few seeds or no variation too.
        trials: How many trials of the search were begun.
        epochs: How many epochs these trained.
        search_hours: Hours that these took.
        run_hours: Hours of one run of the winner's retraining, a mean; None where none is complete.
        differences: By search that it is compared with, the mean score of its winner minus that of
            the other, a fraction; left out where either has too few seeds.
        failed_trials: How many of its trials failed; they count as begun.
        runs: How many runs of its winner were queued.
        failed_runs: Those of them that ended without a score.
        runs_to_come: Those of them that are queued or running.
    """

    study: str
    loss: str
    lack: str | None
    winner: str | None
    score: Estimate | None
    scores: Sequence[float]
    better_than: Sequence[str]
    equivalent_to: Sequence[str]
    undecided_with: Sequence[str]
    trials: int
    epochs: int
    search_hours: float
    run_hours: float | None
    differences: Mapping[str, Estimate]
    failed_trials: int
    runs: int
    failed_runs: int
    runs_to_come: int


@dataclass(frozen=True)
class Ranking:
    """Searches that were tuned alike, that with the highest mean test score first.

    Attributes:
        dataset: Their data set.
        backbone: Their backbone.
        objective: Label of the metric of their scores.
        on_test_classes: Whether they selected on the test classes.
        delta: What scores may differ by and be equivalent, a fraction.
        devices: The devices that trained, as far as known; hours on different ones don't compare.
        searches: They; those that aren't compared yet come last.
    """

    dataset: str
    backbone: str
    objective: str
    on_test_classes: bool
    delta: float
    devices: Sequence[str]
    searches: Sequence[RankedSearch]

    @property
    def names(self) -> Mapping[str, str]:
        """What each is called, by its study: its loss, where no two have the same."""
        losses = [one.loss for one in self.searches]
        distinct = len(set(losses)) == len(losses)
        return {one.study: one.loss if distinct else one.study for one in self.searches}

    @property
    def compared(self) -> Sequence[RankedSearch]:
        """Those that are compared."""
        return [one for one in self.searches if one.lack is None]

    @property
    def sentences(self) -> list[str]:
        """Who is better than whom, of the first of them; and what is missing."""
        number = counted(len(self.searches), "search")
        tuned = f"{number} on {self.dataset} with {self.backbone} were tuned alike."
        told = (self._of_one(rank) for rank in range(min(_TOLD, len(self.compared))))
        missing = [f"{self.names[one.study]} {one.lack}" for one in self.searches if one.lack]
        return [
            tuned,
            *filter(None, told),
            *([f"Not compared yet: {', '.join(missing)}."] if missing else []),
            *([f"Still to come: {', '.join(self._to_come)}."] if self._to_come else []),
            *([f"Failed: {', '.join(self._failed)}."] if self._failed else []),
            *([_NO_FAIR_ESTIMATE] if self.on_test_classes else []),
        ]

    @property
    def within(self) -> str:
        """What counts as equivalent: "within 0.5 points"."""
        return f"within {counted(f'{_PERCENT * self.delta:.3g}', 'point')}"

    @property
    def _to_come(self) -> list[str]:
        """The runs that may change what is said of a winner."""
        return [
            f"{one.runs_to_come:,} of {counted(one.runs, 'run')} of the winner of "
            f"{self.names[one.study]}"
            for one in self.searches
            if one.runs_to_come
        ]

    @property
    def _failed(self) -> list[str]:
        """How many trials and runs failed; scores are those of the others alone."""
        trials = [
            f"{counted(one.failed_trials, 'trial')} of {self.names[one.study]}"
            for one in self.searches
            if one.failed_trials
        ]
        runs = [
            f"{one.failed_runs:,} of {counted(one.runs, 'run')} of the winner of "
            f"{self.names[one.study]}"
            for one in self.searches
            if one.failed_runs
        ]
        return [*trials, *runs]

    def _of_one(self, rank: int) -> str:
        """What a search is to those that stand below it; nothing of the last."""
        one, *below = self.compared[rank:]
        by_words = {
            "better than": one.better_than,
            f"equivalent {self.within} to": one.equivalent_to,
            "undecided with": one.undecided_with,
        }
        parts = []
        for words, studies in by_words.items():
            named = [
                f"{self.names[other.study]}{_difference_text(one.differences.get(other.study))}"
                for other in below
                if other.study in studies
            ]
            if named:
                parts.append(f"{words} {names_text(named)}")
        if not parts or one.score is None:
            return ""
        told = ", and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        score = f"{self.objective} {_text(one.score)}"
        return f"{self.names[one.study]}, with {score} on test classes, is {told}."


def _text(score: Estimate) -> str:
    """A mean of fractions with its interval, in percent."""
    mean = f"{_PERCENT * score.mean:.1f}%"
    if score.low is None or score.high is None:
        return f"{mean} (n = {score.n})"
    ends = f"{_PERCENT * score.low:.1f} to {_PERCENT * score.high:.1f}%"
    return f"{mean} (95% interval {ends}, n = {score.n})"


def _difference_text(found: Estimate | None) -> str:
    """A difference of fractions with its interval, in points, behind a name."""
    if found is None or found.low is None or found.high is None:
        return ""
    mean, low, high = (f"{_PERCENT * value:+.1f}" for value in (found.mean, found.low, found.high))
    return f" ({mean} points, 95% interval {low} to {high})"


def rank(
    reports: Sequence[Report],
    lacks: Mapping[str, str],
    comparisons: Sequence[Comparison],
    delta: float,
) -> Ranking:
    """The ranking of some searches that were tuned alike.

    Args:
        reports: Their reports; at least one.
        lacks: By search, why it isn't compared yet; those left out have a retrained winner.
        comparisons: Those between the winners of these and other searches.
        delta: What scores may differ by and be equivalent, a fraction.
    """
    first, judged = reports[0], _judged(comparisons)
    winners = {one.study: None if one.study in lacks else one.tested_winner for one in reports}
    means = {study: -1.0 if one is None else one.score.mean for study, one in winners.items()}
    order = sorted(means, key=lambda study: means[study], reverse=True)
    by_study = {one.study: one for one in reports}
    return Ranking(
        first.dataset,
        first.backbone,
        first.objective,
        first.on_test_classes,
        delta,
        sorted({device for one in reports for device in one.provenance[DEVICE] if device}),
        [
            _ranked(by_study[study], winners[study], lacks.get(study), order, judged)
            for study in order
        ],
    )


class _Judged(NamedTuple):
    """What a search is to another, and the difference of their winners."""

    verdict: Verdict
    difference: Estimate | None


def _judged(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], _Judged]:
    """What each search is to another, by both."""
    found: dict[tuple[str, str], _Judged] = {}
    for one in comparisons:
        gain = one.difference
        loss = None if gain is None else replace(gain, mean=-gain.mean)
        turned = _TURNED.get(one.verdict, one.verdict)
        found[one.first_search, one.second_search] = _Judged(one.verdict, gain)
        found[one.second_search, one.first_search] = _Judged(turned, loss)
    return found


def _ranked(
    report: Report,
    winner: Retrained | None,
    lack: str | None,
    order: Sequence[str],
    judged: Mapping[tuple[str, str], _Judged],
) -> RankedSearch:
    total = report.search_total
    against = {
        other: judged[report.study, other] for other in order if (report.study, other) in judged
    }

    def those(*wanted: Verdict) -> list[str]:
        return [other for other, one in against.items() if one.verdict in wanted]

    cost = None if winner is None else report.retraining_costs.get(winner.label)
    to_come = 0 if winner is None else winner.to_come
    return RankedSearch(
        study=report.study,
        loss=report.loss,
        lack=lack,
        winner=None if winner is None else winner.label,
        score=None if winner is None else winner.score,
        scores=() if winner is None else winner.scores,
        better_than=those("better"),
        equivalent_to=those("equivalent"),
        undecided_with=those("undecided", "too few seeds", "no variation"),
        trials=0 if total is None else total.trials,
        epochs=0 if total is None else total.epochs,
        search_hours=report.search_cost.hours_spent,
        run_hours=None if cost is None else cost.hours_a_run,
        differences={
            other: one.difference for other, one in against.items() if one.difference is not None
        },
        failed_trials=report.trials.get("FAIL", 0),
        runs=0 if cost is None else cost.trials,
        failed_runs=0 if cost is None else cost.trials - cost.complete - to_come,
        runs_to_come=to_come,
    )
