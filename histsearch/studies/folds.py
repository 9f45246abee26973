"""Which fold a trial validates on."""

from collections import Counter
from collections.abc import Sequence

import optuna

from histsearch.studies.definition import StudyDefinition
from histsearch.studies.trial_record import FOLD


def assign_fold(study: optuna.Study, definition: StudyDefinition, trial_id: int) -> None:
    """Give a trial that begins its fold, which it keeps; a study of one fold has none to give.

    Args:
        study: The study, in the transaction that claims.
        definition: The study's.
        trial_id: The trial's key; its parameters are set.
    """
    if definition.folds == 1:
        return
    trial = study._storage.get_trial(trial_id)
    if FOLD in trial.user_attrs:
        return
    others = [one for one in study.get_trials(deepcopy=False) if FOLD in one.user_attrs]
    its_own = [one.user_attrs[FOLD] for one in others if one.params == trial.params]
    if its_own:
        fold = _next(its_own, definition.folds)
    elif definition.enumerates:
        fold = 0  # the points of a round of the grid differ in what it varies alone
    else:
        fold = _rarest([one.user_attrs[FOLD] for one in others], range(definition.folds))
    study._storage.set_trial_user_attr(trial_id, FOLD, fold)


def _next(used: Sequence[int], folds: int) -> int:
    """The fold after those that a configuration has used."""
    return _rarest(used, [(used[0] + step) % folds for step in range(folds)])


def _rarest(used: Sequence[int], folds: Sequence[int]) -> int:
    """Of some folds the one that was used least; of equals the first."""
    uses = Counter(used)
    return min(folds, key=lambda fold: uses[fold])
