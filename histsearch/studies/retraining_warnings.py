"""What speaks against the figures of a retraining before it has any."""

from collections.abc import Iterator
from statistics import fmean

from histsearch.studies.chosen_configurations import Chosen, chosen_configurations
from histsearch.studies.images import known_census
from histsearch.studies.study import Study
from histsearch.studies.trial_record import TUNED

_CEILING = 0.999  # of the highest score there can be: from here a validation tells nothing apart


def retraining_warnings(search: Study, retraining: Study) -> list[str]:
    """A sentence for each configuration that was at the ceiling, or is best after 1 epoch."""
    return [
        f"{one.label} of {retraining.name} {fault}"
        for one in chosen_configurations(retraining)
        for fault in _faults(search, one)
    ]


def _faults(search: Study, chosen: Chosen) -> Iterator[str]:
    full = search.definition.space.epochs
    if chosen.epochs == 1 and full > 1 and chosen.origin.role == TUNED:
        yield (
            f"is trained for 1 epoch of {full}, as its mean curve falls from the first one on; "
            f"histsearch study export {search.name} shows its trials"
        )
    highest = _highest_score(search, chosen)
    census = known_census(search)
    if highest >= _CEILING * (1.0 if census is None else census.highest_score):
        yield (
            f"reached {search.objective.label} {highest:.1%} in the search, where epochs and "
            "configurations can't be told apart; validate on more classes"
        )


def _highest_score(search: Study, chosen: Chosen) -> float:
    """The highest mean score, in [0, 1], that the search saw of a configuration after an epoch."""
    trials = search.trials()
    source = chosen.origin.source_trial
    params = None if source is None else trials[source].params
    scores: dict[int, list[float]] = {}
    for trial in trials:
        for epoch, score in trial.intermediate_values.items() if trial.params == params else ():
            scores.setdefault(epoch, []).append(score)
    return max(map(fmean, scores.values()), default=0.0)
