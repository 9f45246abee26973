"""When a study ends before its budget of trials is used up."""

import logging
from functools import partial

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from histsearch.database.storage import LONGEST_PAUSE_SECONDS
from histsearch.space.space import Decided
from histsearch.studies import trial_record
from histsearch.studies.claim import Claim, last_attempt
from histsearch.studies.conclusion import Conclusion, conclude
from histsearch.studies.definition import Limits
from histsearch.studies.stages import StudyMove, TrialMove, move_trial
from histsearch.studies.study import Study
from histsearch.wording import counted

log = logging.getLogger(__name__)

_NONE = Limits(gpu_hours=None, decided=None)
_LOST = (TrialState.FAIL, TrialState.PRUNED)


def end_if_due(study: Study, worker_id: int) -> list[Claim]:
    """End a study whose hours are used up, whose winner is decided, or whose trials have begun.

    In the last case, as soon as no paused or running trial is likely to overtake the winner.

    With paused trials, the furthest one of the winner is then to run to its end, and so are those
    that were enqueued and never started. Once they have, the others that wait are pruned; should
    the winner fail, the next best takes its place; where there is none, a study that has hours and
    trials left goes on.

    Args:
        study: The study.
        worker_id: Key of the worker that asks. While another one works out whether the study ends,
            it goes on.

    Returns:
        The last attempts at the trials that were pruned; their saved states are of no more use.
    """
    if not study.definition.samples:
        return []
    with study.at_one_moment():
        limits, ended = study.limits, study.ended
        has_begun_all = study.pauses and not study.may_start
        may_end = limits != _NONE or has_begun_all or ended is not None
        if study.paused or not may_end or _is_closed(study):
            return []
        # Without the lock, for it may take seconds; what others begin meanwhile is closed as well.
        found = _found(study, limits, worker_id) if ended is None else Conclusion()
    if ended is None and found.reason is None:
        return []
    with study.storage.lock(study.id, pause_seconds=LONGEST_PAUSE_SECONDS) as connection:
        inside = study.within(connection)
        if inside.ended is None:
            others = inside.limits != limits or (has_begun_all and inside.may_start)
            if found.reason is None or inside.paused or others:
                return []
            log.info("study %s ends: %s", study.name, found.reason, extra={"study": study.name})
            inside.move(StudyMove.END, found.reason)
        return _close(inside, connection) if study.pauses else []


def is_needless(study: Study, trial: FrozenTrial, worker_id: int) -> bool:
    """Whether a study could end now without a running trial, which isn't the winner's.

    Its worker then leaves it, and ends the study before its next claim. No lock is taken, so that
    nothing keeps the worker's heartbeats waiting.

    Args:
        study: A study whose trials are paused.
        trial: The trial, with the epochs that count.
        worker_id: Key of the worker that trains it; as in `end_if_due`.
    """
    if trial.user_attrs.get(trial_record.TO_THE_END):
        return False
    if study.ended is not None:
        return True
    if study.paused or not (study.is_due or not study.may_start):
        return False
    if _found(study, study.limits, worker_id).reason is None:
        return False
    going_on = [one.number for one in study.trials() if one.state not in _LOST]
    return study.posterior().winners_trial(going_on) != trial.number


def _is_closed(study: Study) -> bool:
    """Whether it has ended, with a winner or one that may become it, and nothing waits."""
    if study.ended is None or study.count(TrialState.WAITING):
        return False
    return study.count(TrialState.COMPLETE, TrialState.RUNNING) > 0


def _found(study: Study, limits: Limits, worker_id: int) -> Conclusion:
    """Why a study ends now, if it does, as far as that is known."""
    gpu_hours, decided = limits
    hours = 0.0 if gpu_hours is None else study.hours
    if gpu_hours is not None and hours >= gpu_hours:
        used = counted(f"{hours:.3g}", "hour")
        return Conclusion(f"{used} {'is' if used == '1 hour' else 'are'} used, of {gpu_hours:g}")
    if not any(trial.intermediate_values for trial in study.trials()):
        return Conclusion()
    if study.pauses and not study.may_start:
        waiting = study.trials(TrialState.WAITING)
        if not all(trial.user_attrs.get(trial_record.PAUSED) for trial in waiting):
            return Conclusion()
        question, decided = "overtakes", decided or Decided()
        work_out = partial(_no_trial_overtakes, study, decided)
    elif decided is not None:
        question, work_out = "better", partial(_none_is_better, study, decided)
    else:
        return Conclusion()
    question += f" by {decided.delta:g} with {decided.epsilon:g}"
    return conclude(study, question, worker_id, work_out) or Conclusion()


def _none_is_better(study: Study, decided: Decided) -> Conclusion:
    chance = study.posterior().chance_of_better(decided.delta, decided.epsilon)
    if chance >= decided.epsilon:
        return Conclusion(chance=chance)
    return Conclusion(
        "the winner is decided: the chance that another configuration beats it by more than "
        f"{counted(f'{decided.delta:g}', 'point')} is under {100 * decided.epsilon:g}%",
        chance,
    )


def _no_trial_overtakes(study: Study, decided: Decided) -> Conclusion:
    chance = study.posterior().chance_of_overtaking(decided.delta, decided.epsilon)
    if chance >= decided.epsilon:
        return Conclusion(chance=chance)
    return Conclusion(
        f"its budget of {counted(study.budget, 'trial')} is used, and the chance that a paused one "
        "overtakes the winner by more than "
        f"{counted(f'{decided.delta:g}', 'point')} is under {100 * decided.epsilon:g}%",
        chance,
    )


def _close(study: Study, connection: Connection) -> list[Claim]:
    """Have an ended study's winner run to its end, or prune the others once it has.

    Args:
        study: The study, in the transaction that closes it.
        connection: That transaction.
    """
    within = study.optuna_study._storage
    for trial in study.trials(TrialState.WAITING):
        if not trial.intermediate_values:
            move_trial(within, trial._trial_id, TrialMove.SEE_THROUGH)
    trials = [trial for trial in study.trials() if trial.state not in _LOST]
    if any(
        trial.user_attrs.get(trial_record.TO_THE_END) and not trial.state.is_finished()
        for trial in trials
    ):
        return []
    numbers, posterior = [trial.number for trial in trials], study.posterior()
    winner = posterior.winners_trial(numbers)
    if winner is None and not study.is_due and study.count() < study.budget:
        log.info("study %s goes on: no trial that was begun can win", study.name)
        study.move(StudyMove.GO_ON)
        return []
    if winner is None:
        winner = posterior.winners_trial(numbers, any_will_do=True)
    for trial in trials:
        if trial.number == winner and trial.state != TrialState.COMPLETE:
            move_trial(within, trial._trial_id, TrialMove.SEE_THROUGH)
            return []
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    return [one for trial in waiting if (one := _prune(study, connection, trial)) is not None]


def _prune(study: Study, connection: Connection, trial: FrozenTrial) -> Claim | None:
    within = study.optuna_study._storage
    steps = trial.intermediate_values
    within.set_trial_user_attr(trial._trial_id, trial_record.REASON, "the study ended")
    move_trial(within, trial._trial_id, TrialMove.DROP, steps[max(steps)])
    return last_attempt(connection, study, trial)
