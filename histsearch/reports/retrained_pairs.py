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
            gain_seen(complete, first.source_trial, second.source_trial),
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
    scores = dict(zip(one.seeds, one.scores, strict=True))
    return Side(one.label, one.study, scores, one.epochs, one.to_come)


def gain_seen(
    complete: Sequence[TrialBrief], first: int | None, second: int | None
) -> float | None:
    """What a search saw of one configuration over another, on the folds that validated both.

    Args:
        complete: Its complete trials.
        first: Number of a trial of the one; None where there is none.
        second: The same of the other.

    Returns:
        The gain, as a fraction; None where one has no completed trial, where no fold is common,
        and where both trials are of one configuration.
    """
    params: dict[int | None, Mapping[str, Any]] = {one.number: one.params for one in complete}
    own, other = params.get(first), params.get(second)
    if own is None or other is None or own == other:
        return None
    best, others = _best_by_fold(complete, own), _best_by_fold(complete, other)
    gains = [best[fold] - others[fold] for fold in best.keys() & others.keys()]
    return fmean(gains) if gains else None


def _best_by_fold(
    complete: Sequence[TrialBrief], params: Mapping[str, Any]
) -> dict[int | None, float]:
    """The best score of a configuration on each fold."""
    best: dict[int | None, float] = {}
    for trial in complete:
        if trial.params == params:
            best[trial.fold] = max(trial.score, best.get(trial.fold, trial.score))
    return best
