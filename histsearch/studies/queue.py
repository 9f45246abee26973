"""A study's queue of trials: claim the next one, take back those whose worker is gone."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Insert, func, insert, or_, select
from sqlalchemy.engine import Connection

from histsearch.database.storage import LONGEST_PAUSE_SECONDS, Storage
from histsearch.database.tables import attempts, optuna_trials, workers
from histsearch.search.freeze_thaw_sampler import FreezeThawSampler
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import list_studies
from histsearch.studies.claim import Claim, end_attempt
from histsearch.studies.deferral import failed_here, is_at_work_elsewhere
from histsearch.studies.folds import assign_fold
from histsearch.studies.foreign_trials import fail_foreign
from histsearch.studies.grid_seeds import assign_seed
from histsearch.studies.liveness import RUNNING, Silence, Watch
from histsearch.studies.stages import TrialMove, move_trial
from histsearch.studies.standing import noted_standing
from histsearch.studies.study import Study
from histsearch.studies.verdict import requeue

log = logging.getLogger(__name__)

_SEEDS = 2**32  # what Optuna's samplers take


def claim(study: Study, worker_id: int) -> Claim | None:
    """Start the study's next trial: a waiting one, else a new one if the budget allows.

    Claims of one study exclude one another in every process, and end with all parameters stored.
    That keeps the budget exact, and lets each choice see the ones being tried elsewhere.

    Args:
        study: The study to claim from.
        worker_id: Key of the worker that will run the trial.

    Returns:
        A hold on the running trial, or None when there is nothing to start.
    """
    # Its planner works within the transaction.
    with study.storage.lock(study.id, pause_seconds=LONGEST_PAUSE_SECONDS) as connection:
        # In the lock's own transaction, so that the trial and its attempt come to be together.
        inside = study.within(connection)
        if not inside.is_open:
            return None
        trial_id = _next_trial(inside, connection, worker_id)
        sampler = inside.optuna_study.sampler
        standing = sampler.standing if isinstance(sampler, FreezeThawSampler) else None
        note = [] if standing is None else [noted_standing(study.id, standing)]
        if trial_id is None:
            for row in note:
                connection.execute(row)
            return None
        number, attempt_id = _open_attempt(connection, trial_id, worker_id, note)
        trial = inside.trial(trial_id)
        inside.tidy()
        return Claim(study, trial, number, attempt_id)


def _next_trial(study: Study, connection: Connection, worker_id: int) -> int | None:
    """Start a trial, all its parameters set; its key, or None when there is none to start.

    Args:
        study: The study, in the transaction that claims.
        connection: That transaction.
        worker_id: Key of the worker that will run the trial.
    """
    waiting = _waiting(study)
    sampler = study.optuna_study.sampler = _sampler(study, waiting.begun)
    returned = fail_foreign(study, waiting.returned)
    failed = failed_here(connection, [trial._trial_id for trial in returned], worker_id)
    urgent = [trial for trial in returned if trial._trial_id not in failed]
    if urgent:
        return _start_returned(study, urgent[0])
    resumed = _worth_resuming(study, sampler, waiting)
    if resumed is not None:
        return _start(study, resumed._trial_id)
    if study.may_start:
        new = study.optuna_study._storage.create_new_trial(study.id)
        return _start(study, new, waits=False)
    # What a worker failed at comes last, and is left to those at work that may have what it takes.
    others_try = bool(failed.lacking) and is_at_work_elsewhere(connection, study.id, worker_id)
    for trial in returned:
        if not (others_try and trial._trial_id in failed.lacking):
            return _start_returned(study, trial)
    return None


def _start_returned(study: Study, trial: FrozenTrial) -> int:
    """Start a trial that waits without being paused; a study that has ended takes it to its end."""
    if study.ended is not None and not trial.intermediate_values:
        move_trial(study.optuna_study._storage, trial._trial_id, TrialMove.SEE_THROUGH)
    return _start(study, trial._trial_id)


class _Waiting(NamedTuple):
    """The trials that wait.

    Attributes:
        paused: Those that the sampler may go on with.
        returned: Those that were enqueued, given back or are tried again.
        due: Those of the paused that are to run to their ends.
        begun: How many trials of the study have begun, the running and finished ones included.
    """

    paused: list[FrozenTrial]
    returned: list[FrozenTrial]
    due: list[FrozenTrial]
    begun: int


def _waiting(study: Study) -> _Waiting:
    waiting = study.trials(TrialState.WAITING)
    # A verdict waits for this, and most may be paused.
    paused = [trial for trial in waiting if trial.user_attrs.get(trial_record.PAUSED)]
    returned = []
    if len(paused) < len(waiting):
        returned = [one for one in waiting if not one.user_attrs.get(trial_record.PAUSED)]
    due = [trial for trial in paused if trial.user_attrs.get(trial_record.TO_THE_END)]
    begun = study.count() - sum(not trial.params for trial in returned)
    return _Waiting(paused, returned, due, begun)


def _sampler(study: Study, begun: int) -> BaseSampler:
    """The sampler of the next claim, whose seed follows from how many trials have begun."""
    definition = study.definition
    seed = (definition.space.protocol.seed + begun) % _SEEDS
    return definition.sampler(seed, study.reader)


def goes_straight_on(study: Study, trial: FrozenTrial) -> bool:
    """Whether a worker that left its trial now would be given the same one at once.

    It then need not save the trial, claim it again, and build its network anew.

    Args:
        study: The study.
        trial: The running trial, with the epochs that count.
    """
    waiting = _waiting(study)
    if waiting.returned or waiting.due:
        return False
    sampler = _sampler(study, waiting.begun)
    return isinstance(sampler, FreezeThawSampler) and sampler.would_resume(
        study.optuna_study, trial, may_start=study.may_start
    )


def _worth_resuming(study: Study, sampler: BaseSampler, waiting: _Waiting) -> FrozenTrial | None:
    """The paused trial to go on with: the winner's, else the sampler's choice."""
    if waiting.due:
        return waiting.due[0]
    paused = waiting.paused
    if not paused or study.ended is not None or not isinstance(sampler, FreezeThawSampler):
        return None
    number = sampler.resume(study.optuna_study, may_start=study.may_start)
    return next((trial for trial in paused if trial.number == number), None)


def _start(study: Study, trial_id: int, *, waits: bool = True) -> int:
    """Set a trial running, and what is missing of its parameters, its fold and its seed.

    It is what `optuna.Study.ask` does, but for a trial of our choice.
    """
    if waits:
        move_trial(study.optuna_study._storage, trial_id, TrialMove.START)
    distributions = study.definition.distributions()
    if not study.trial(trial_id).params.keys() >= distributions.keys():
        trial = optuna.Trial(study.optuna_study, trial_id)
        with study.parameters_together():
            for name, distribution in distributions.items():
                trial._suggest(name, distribution)
    assign_fold(study.optuna_study, study.definition, trial_id)
    assign_seed(study.optuna_study, study.definition, trial_id)
    return trial_id


def _open_attempt(
    connection: Connection, trial_id: int, worker_id: int, beside: Sequence[Insert]
) -> tuple[int, int]:
    """Number and key of a new attempt at a trial, opened with other changes in one statement."""
    last = select(func.coalesce(func.max(attempts.c.number), 0) + 1).where(
        attempts.c.trial_id == trial_id
    )
    row = insert(attempts).values(
        trial_id=trial_id, number=last.scalar_subquery(), worker_id=worker_id
    )
    statement = row.returning(attempts.c.number, attempts.c.id)
    opened = connection.execute(statement.add_cte(*(one.cte() for one in beside))).one()
    return opened.number, opened.id


@dataclass(frozen=True)
class _Abandoned:
    """A running trial without a worker.

    Attributes:
        silent_seconds: How long its worker has shown no sign of life; None where it ended, or gave
            up the attempt, and the trial is merely left over.
    """

    study_id: int
    trial_id: int
    attempt_id: int | None
    worker: str | None
    silent_seconds: float | None


def requeue_abandoned(storage: Storage, worker_id: int, watch: Watch) -> list[Claim]:
    """Queue the running trials again whose workers are gone.

    A worker is gone when it has ended, or when its silence has outlasted its grace.

    Args:
        storage: The storage to look through.
        worker_id: Key of the worker that looks, and runs no trial itself: an attempt that is open
            in its name is one whose claim it was never told of.
        watch: Its watch over the others' heartbeats.

    Returns:
        The last attempts of the trials that have failed by it, their retries being used up.
    """
    with storage.singly() as connection:
        watch.look(connection)
        rows = _abandoned(connection, worker_id, watch.silent())
    affected = {row.study_id for row in rows}
    failed: list[Claim] = []
    for study in list_studies(storage) if affected else ():
        if study.id in affected:
            with suppress(KeyError):  # deleted meanwhile
                failed += _requeue_abandoned_of(study, worker_id, watch)
    return failed


def _requeue_abandoned_of(study: Study, worker_id: int, watch: Watch) -> list[Claim]:
    with study.storage.lock(study.id) as connection:
        rows = _abandoned(connection, worker_id, watch.silent())
        claims = [_requeue_one(connection, study, row) for row in rows if row.study_id == study.id]
    return [claim for claim in claims if claim is not None]


def _requeue_one(connection: Connection, study: Study, row: _Abandoned) -> Claim | None:
    """Queue one trial again; its last attempt if it has failed instead."""
    storage = study.storage.optuna_within(connection)
    trial = storage.get_trial(row.trial_id)
    label = f"{study.name} #{trial.number}"
    if row.attempt_id is None:
        move_trial(storage, row.trial_id, TrialMove.GIVE_BACK)
        log.warning("%s  was left without a worker: back in the queue", label)
        return None
    number = _lock_attempt(connection, row.attempt_id)
    if number is None:  # its worker is writing at this moment, or has just told its end
        return None
    if row.silent_seconds is None:
        move_trial(storage, row.trial_id, TrialMove.GIVE_BACK)
        end_attempt(connection, row.attempt_id, Ending.GIVEN_BACK)
        log.warning("%s  was left over by %s: back in the queue", label, row.worker)
        return None
    reason = f"no heartbeat for {row.silent_seconds:.0f} s"
    end_attempt(connection, row.attempt_id, _how_lost(connection, row.attempt_id, trial), reason)
    state = requeue(connection, study, row.trial_id)
    back = state == TrialState.WAITING
    log.warning(
        "%s  %s is gone (%s): %s",
        label,
        row.worker,
        reason,
        "back in the queue" if back else "failed, its retries are used up",
        extra={"study": study.name, "trial": trial.number, "event": "taken over"},
    )
    return None if back else Claim(study, trial, number, row.attempt_id)


def _how_lost(connection: Connection, attempt_id: int, trial: FrozenTrial) -> Ending:
    """Whether a worker that is gone had trained an epoch in its attempt."""
    query = select(attempts.c.resumed_after).where(attempts.c.id == attempt_id)
    resumed_after = connection.scalar(query)
    reached = len(trial.user_attrs.get(trial_record.EPOCH_SECONDS, ()))
    early = resumed_after is None or reached <= resumed_after
    return Ending.LOST_EARLY if early else Ending.LOST


def _lock_attempt(connection: Connection, attempt_id: int) -> int | None:
    """Lock an open attempt without waiting for it; its number, None if that can't be done."""
    query = select(attempts.c.number).where(
        attempts.c.id == attempt_id, attempts.c.ended_at.is_(None)
    )
    return connection.scalar(query.with_for_update(skip_locked=True))


def _abandoned(
    connection: Connection, worker_id: int, silent: Mapping[int, Silence]
) -> list[_Abandoned]:
    left_over = or_(
        attempts.c.id.is_(None), workers.c.ended_at.is_not(None), workers.c.id == worker_id
    )
    query = select(
        optuna_trials.c.study_id,
        optuna_trials.c.trial_id,
        attempts.c.id.label("attempt_id"),
        workers.c.id.label("worker_id"),
        workers.c.name,
        workers.c.beats,
        left_over.label("left_over"),
    ).select_from(RUNNING)
    found = []
    for row in connection.execute(query):
        silence = silent.get(row.worker_id)
        if row.left_over:
            seconds = None
        elif silence is not None and silence.beats == row.beats:  # no heartbeat a moment ago
            seconds = silence.seconds
        else:
            continue
        found.append(_Abandoned(row.study_id, row.trial_id, row.attempt_id, row.name, seconds))
    return found
