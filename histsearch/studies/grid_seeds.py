"""Which seed a trial of a grid trains with, where each point is trained with several."""

from collections import Counter

import optuna
from optuna.trial import TrialState

from histsearch.search.freeze_thaw_trials import fold_of
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.trial_record import SEED


def assign_seed(study: optuna.Study, definition: StudyDefinition, trial_id: int) -> None:
    """Give a trial that begins its seed, which it keeps; where a grid has one, it has none to give.

    It is the first of those that the fewest trials of the same point and fold have; of seeds that
    as many have, one that failed trials alone have had comes after those that none has.

    Args:
        study: The study, in the transaction that claims.
        definition: The study's.
        trial_id: The trial's key; its parameters and its fold are set.
    """
    seeds = definition.grid_seeds
    if len(seeds) == 1:
        return
    trial = study._storage.get_trial(trial_id)
    if definition.has_grid_seed(trial):
        return
    fold = fold_of(trial, definition.folds)
    alike = [
        other
        for other in study.get_trials(deepcopy=False)
        if definition.has_grid_seed(other)
        and other.params == trial.params
        and fold_of(other, definition.folds) == fold
    ]
    uses = Counter(other.user_attrs[SEED] for other in alike)
    # A failed trial is no score: one that is queued beyond the grid replaces it.
    failures = Counter(other.user_attrs[SEED] for other in alike if other.state == TrialState.FAIL)
    seed = min(seeds, key=lambda one: (uses[one] - failures[one], failures[one]))
    study._storage.set_trial_user_attr(trial_id, SEED, seed)
