"""Waiting trials that came from outside histsearch, and that a study can't run as they are."""

import logging
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from histsearch.studies.stages import TrialMove, move_trial
from histsearch.studies.study import Study
from histsearch.studies.trial_record import REASON

log = logging.getLogger(__name__)


def fail_foreign(study: Study, waiting: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Fail those of the waiting trials that can't be run, with the reason; the others remain.

    Args:
        study: Their study, in the transaction that claims.
        waiting: The study's waiting trials.
    """
    remaining = []
    within = study.optuna_study._storage
    for trial in waiting:
        reason = study.definition.misfit(trial)
        if reason is None:
            remaining.append(trial)
            continue
        within.set_trial_user_attr(trial._trial_id, REASON, reason)
        move_trial(within, trial._trial_id, TrialMove.REFUSE)
        log.warning("%s #%d  failed: %s", study.name, trial.number, reason)
    return remaining
