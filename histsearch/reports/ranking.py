"""Searches that were tuned alike, by the test scores of their winners: who is better than whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from histsearch.reports.comparisons import Comparison, Verdict
from histsearch.reports.report import Report, Retrained
from histsearch.reports.statistics import Estimate
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


@dataclass(frozen=True)
class Ranking:
    """Searches that were tuned alike, that with the highest mean test score first.

    Attributes:
        dataset: Their data set.
        backbone: Their backbone.
        objective: Label of the metric of their scores.
        on_test_classes: Whether they selected on the test classes.
        searches: They; those that aren't compared yet come last.
    """

    dataset: str
    backbone: str
    objective: str
    on_test_classes: bool
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
            *([_NO_FAIR_ESTIMATE] if self.on_test_classes else []),
        ]

    def _of_one(self, rank: int) -> str:
        """What a search is to those that stand below it; nothing of the last."""
        one, *below = self.compared[rank:]
        by_words = {
            "better than": one.better_than,
            "equivalent to": one.equivalent_to,
            "undecided with": one.undecided_with,
        }
        parts = []
        for words, studies in by_words.items():
            named = [self.names[other.study] for other in below if other.study in studies]
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


def rank(
    reports: Sequence[Report], lacks: Mapping[str, str], comparisons: Sequence[Comparison]
) -> Ranking:
    """The ranking of some searches that were tuned alike.

    Args:
        reports: Their reports; at least one.
        lacks: By search, why it isn't compared yet; those left out have a retrained winner.
        comparisons: Those between the winners of these and other searches.
    """
    first, verdicts = reports[0], _verdicts(comparisons)
    winners = {one.study: None if one.study in lacks else one.tested_winner for one in reports}
    means = {study: -1.0 if one is None else one.score.mean for study, one in winners.items()}
    order = sorted(means, key=lambda study: means[study], reverse=True)
    by_study = {one.study: one for one in reports}
    return Ranking(
        first.dataset,
        first.backbone,
        first.objective,
        first.on_test_classes,
        [
            _ranked(by_study[study], winners[study], lacks.get(study), order, verdicts)
            for study in order
        ],
    )


def _verdicts(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], Verdict]:
    """The verdict on each search against another."""
    found: dict[tuple[str, str], Verdict] = {}
    for one in comparisons:
        found[one.first_search, one.second_search] = one.verdict
        found[one.second_search, one.first_search] = _TURNED.get(one.verdict, one.verdict)
    return found


def _ranked(
    report: Report,
    winner: Retrained | None,
    lack: str | None,
    order: Sequence[str],
    verdicts: Mapping[tuple[str, str], Verdict],
) -> RankedSearch:
    total = report.search_total

    def those(*wanted: Verdict) -> list[str]:
        return [other for other in order if verdicts.get((report.study, other)) in wanted]

    cost = None if winner is None else report.retraining_costs.get(winner.label)
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
    )
