"""Waiting trials that came from outside histsearch, and that a study can't run as they are."""

import logging
from collections.abc import Sequence

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from histsearch.exceptions import SpaceError
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.study import Study
from histsearch.studies.trial_record import EPOCHS, REASON, ROLE, SOURCE_TRIAL

log = logging.getLogger(__name__)

_OF_A_RUN = {ROLE, SOURCE_TRIAL, EPOCHS}


def fail_foreign(
    study: Study, within: BaseStorage, waiting: Sequence[FrozenTrial]
) -> list[FrozenTrial]:
    """Fail those of the waiting trials that can't be run, with the reason; the others remain.

    Args:
        study: Their study.
        within: Optuna's storage in the transaction that claims.
        waiting: The study's waiting trials.
    """
    remaining = []
    for trial in waiting:
        reason = _why_not(trial, study.definition)
        if reason is None:
            remaining.append(trial)
            continue
        within.set_trial_user_attr(trial._trial_id, REASON, reason)
        within.set_trial_state_values(trial._trial_id, TrialState.RUNNING)  # notes its start
        within.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        log.warning("%s #%d  failed: %s", study.name, trial.number, reason)
    return remaining


def _why_not(trial: FrozenTrial, definition: StudyDefinition) -> str | None:
    """Why a trial can't be run; None where it can."""
    given = trial.system_attrs.get("fixed_params", {})
    if definition.kind == "retrain":
        whole = definition.distributions().keys() <= {*given, *trial.params}
        if whole and trial.user_attrs.keys() >= _OF_A_RUN:
            return None
        return "queued from outside: a retraining runs what histsearch retrain queued alone"
    # What a search has no use for is passed over, as Optuna does.
    to_be_set = definition.space.search.keys() - trial.params.keys()
    values = {name: value for name, value in given.items() if name in to_be_set}
    try:
        if values:
            definition.space.check_configuration(values)
    except SpaceError as error:
        return f"queued from outside: {error}"
    return None
