"""The pairs of retrained configurations that a report of a search compares."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby
from operator import attrgetter
from statistics import fmean
from typing import Any

from histsearch.reports.comparisons import Pair, Side
from histsearch.reports.report import Retrained
from histsearch.space.space import Decided
from histsearch.studies import trial_record
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import TrialBrief, complete_trials

_POINTS = 100


def retrained_pairs(search: Study, retrained: Sequence[Retrained]) -> list[Pair]:
    """The pairs to compare within each retraining of a search.

    Each of the best configurations with each baseline, and the best ones with one another. What
    counts as equivalent is the `[decided] delta` of the search, 0.5 points where that is off.

    Args:
        search: The search.
        retrained: What its retrainings trained, one retraining after the other.
    """
    decided = search.limits.decided or Decided()
    complete = complete_trials(search)
    on_test_classes = search.definition.touches_test_classes
    return [
        Pair(
            side_of(first),
            side_of(second),
            first.objective,
            decided.delta / _POINTS,
            on_test_classes,
            _validation_gain(complete, first, second),
        )
        for first, second in _asked_for(retrained)
    ]


def _asked_for(retrained: Sequence[Retrained]) -> Iterator[tuple[Retrained, Retrained]]:
    for _, together in groupby(retrained, key=attrgetter("study")):
        several = list(together)
        tuned = [one for one in several if one.role == trial_record.TUNED]
        baselines = [one for one in several if one.role == trial_record.BASELINE]
        yield from ((one, baseline) for one in tuned for baseline in baselines)
        yield from combinations(tuned, 2)


def side_of(one: Retrained) -> Side:
    """A retrained configuration as one side of a comparison."""
    return Side(one.label, one.study, dict(zip(one.seeds, one.scores, strict=True)))


def _validation_gain(
    complete: Sequence[TrialBrief], first: Retrained, second: Retrained
) -> float | None:
    """What the search saw of the first over the second; None where one has no completed trial."""
    params = {trial.number: trial.params for trial in complete}
    seen = [
        _seen(complete, params[one.source_trial]) if one.source_trial in params else None
        for one in (first, second)
    ]
    return None if seen[0] is None or seen[1] is None else seen[0] - seen[1]


def _seen(complete: Sequence[TrialBrief], params: Mapping[str, Any]) -> float:
    """The best score of a configuration; of several folds the mean of the best on each."""
    best: dict[int | None, float] = {}
    for trial in complete:
        if trial.params == params:
            best[trial.fold] = max(trial.score, best.get(trial.fold, trial.score))
    return fmean(best.values())
