"""Which fold a trial validates on."""

from collections import Counter
from collections.abc import Sequence

import optuna

from histsearch.search.freeze_thaw_trials import fold_of
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.trial_record import FOLD


def assign_fold(study: optuna.Study, definition: StudyDefinition, trial_id: int) -> None:
    """Give a trial that begins its fold, which it keeps; a study of one fold has none to give.

    Args:
        study: The study, in the transaction that claims.
        definition: The study's.
        trial_id: The trial's key; its parameters are set.
    """
    folds = definition.folds
    if folds == 1:
        return
    trial = study._storage.get_trial(trial_id)
    if fold_of(trial, folds) is not None:
        return
    others = [(one, fold_of(one, folds)) for one in study.get_trials(deepcopy=False)]
    its_own = [fold for one, fold in others if fold is not None and one.params == trial.params]
    # The points of a round of a grid share their fold, to differ in what the grid varies alone.
    of_all = [] if definition.enumerates else [fold for _, fold in others if fold is not None]
    study._storage.set_trial_user_attr(trial_id, FOLD, next_fold(its_own, of_all, folds))


def next_fold(its_own: Sequence[int], of_all: Sequence[int], folds: int) -> int:
    """The fold of the next trial of a configuration.

    Args:
        its_own: The folds of the trials that the configuration has, in order.
        of_all: Those of all trials, which a new configuration keeps in balance.
        folds: How many there are.
    """
    if its_own:
        return _rarest(its_own, [(its_own[0] + step) % folds for step in range(folds)])
    return _rarest(of_all, range(folds))


def _rarest(used: Sequence[int], folds: Sequence[int]) -> int:
    """Of some folds the one that was used least; of equals the first."""
    uses = Counter(used)
    return min(folds, key=lambda fold: uses[fold])
