"""When a study ends before its budget of trials is used up."""

import logging

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from histsearch.search.outlook import Outlook
from histsearch.studies import trial_record
from histsearch.studies.study import ENDED, Study

log = logging.getLogger(__name__)

_SECONDS_PER_HOUR = 3600.0


def end_if_due(study: Study) -> list[FrozenTrial]:
    """End a study whose hours are used up or whose winner is decided.

    Trials that wait are pruned, but for the furthest one of the winner and those that were enqueued
    and never started, which are to run to their end. Those that run are left alone; they are pruned
    here, once they are back in the queue.

    Returns:
        The trials that were pruned; their saved states are of no more use.
    """
    space = study.definition.space
    if study.definition.kind != "search" or (space.gpu_hours is None and space.decided is None):
        return []
    if study.paused or (study.ended is not None and not study.count(TrialState.WAITING)):
        return []
    with study.storage.lock(study.id) as connection:
        if study.ended is None:
            reason = _reason(study)
            if reason is None:
                return []
            log.info("study %s ends: %s", study.name, reason, extra={"study": study.name})
            study.optuna_study.set_user_attr(ENDED, reason)
        return _close(study, study.storage.optuna_within(connection))


def _reason(study: Study) -> str | None:
    space = study.definition.space
    trials = study.trials()
    hours = sum(_seconds(trial) for trial in trials) / _SECONDS_PER_HOUR
    if space.gpu_hours is not None and hours >= space.gpu_hours:
        return f"{hours:.3g} hours are used, of {space.gpu_hours:g}"
    if space.decided is None or not any(trial.intermediate_values for trial in trials):
        return None
    chance = _outlook(study).chance_of_better(space.decided.delta)
    if chance >= space.decided.epsilon:
        return None
    return (
        f"the winner is decided: that another is better by more than {space.decided.delta:g} "
        f"points has a probability under {space.decided.epsilon:g}"
    )


def _seconds(trial: FrozenTrial) -> float:
    return float(trial.user_attrs.get(trial_record.SECONDS, 0.0))


def _outlook(study: Study) -> Outlook:
    definition = study.definition
    return Outlook.of(study.optuna_study, definition.distributions(), definition.space.epochs)


def _close(study: Study, within: BaseStorage) -> list[FrozenTrial]:
    winner = _winner(study)
    closed = []
    for trial in study.trials(TrialState.WAITING):
        if trial.number == winner or not trial.intermediate_values:
            within.set_trial_user_attr(trial._trial_id, trial_record.TO_THE_END, True)
            continue
        steps = trial.intermediate_values
        within.set_trial_user_attr(trial._trial_id, trial_record.REASON, "the study ended")
        within.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        within.set_trial_state_values(trial._trial_id, TrialState.PRUNED, [steps[max(steps)]])
        closed.append(trial)
    return closed


def _winner(study: Study) -> int | None:
    """Number of the trial that is to run to its end, if the study is of the kind that has one."""
    if study.definition.space.sampler.name != "hist":
        return None
    return _outlook(study).winner()
