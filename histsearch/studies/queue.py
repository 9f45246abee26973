"""A study's queue of trials: claim the next one, take back those whose worker is gone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import TrialState
from sqlalchemy import and_, func, insert, literal, or_, select
from sqlalchemy.engine import Connection

from histsearch.database.storage import Storage
from histsearch.database.tables import (
    attempts,
    optuna_study_attributes,
    optuna_trials,
    workers,
)
from histsearch.search.sampler import build_sampler
from histsearch.studies.catalog import list_studies
from histsearch.studies.claim import Claim, Ending, end_attempt, requeue
from histsearch.studies.study import DEFINITION, Study

log = logging.getLogger(__name__)


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
    with study.storage.lock(study.id) as connection:
        if not study.is_open:
            return None
        started = study.count() - study.count(TrialState.WAITING)
        space = study.definition.space
        study.optuna_study.sampler = build_sampler(space, space.protocol.seed + started)
        trial_id = study.optuna_study.ask(study.definition.distributions())._trial_id
        number, attempt_id = _open_attempt(connection, trial_id, worker_id)
        return Claim(study, study.storage.optuna.get_trial(trial_id), number, attempt_id)


def _open_attempt(connection: Connection, trial_id: int, worker_id: int) -> tuple[int, int]:
    """Number and key of a new attempt at a trial."""
    last = select(func.coalesce(func.max(attempts.c.number), 0)).where(
        attempts.c.trial_id == trial_id
    )
    number = connection.execute(last).scalar_one() + 1
    row = insert(attempts).values(trial_id=trial_id, number=number, worker_id=worker_id)
    return number, connection.execute(row.returning(attempts.c.id)).scalar_one()


@dataclass(frozen=True)
class _Abandoned:
    study_id: int
    trial_id: int
    attempt_id: int | None
    worker: str | None
    silent_seconds: float | None


def requeue_abandoned(storage: Storage, worker_id: int) -> None:
    """Queue the running trials again whose workers are gone.

    A worker is gone when it has ended, or when its last heartbeat is older than its grace. The
    latter says nothing where the database was away itself, so it is judged only by a worker whose
    own heartbeats have come steadily for as long. A trial without an attempt was being claimed by
    a process that died over it.

    Args:
        storage: The storage to look through.
        worker_id: Key of the worker that looks.
    """
    with storage.begin() as connection:
        affected = {row.study_id for row in _abandoned(connection, worker_id)}
    if not affected:
        return
    for study in list_studies(storage):
        if study.id in affected:
            _requeue_abandoned_of(study, worker_id)


def _requeue_abandoned_of(study: Study, worker_id: int) -> None:
    with study.storage.lock(study.id) as connection:
        # Now that no claim is under way, what has no attempt will get none.
        for row in _abandoned(connection, worker_id):
            if row.study_id == study.id:
                _requeue_one(connection, study, row)


def _requeue_one(connection: Connection, study: Study, row: _Abandoned) -> None:
    storage = study.storage.optuna_within(connection)
    number = storage.get_trial(row.trial_id).number
    if row.attempt_id is None:
        storage.set_trial_state_values(row.trial_id, TrialState.WAITING)
        log.warning("%s #%d  was left without a worker: back in the queue", study.name, number)
        return
    reason = f"no heartbeat for {row.silent_seconds:.0f} s"
    if not end_attempt(connection, row.attempt_id, Ending.LOST, reason):
        return  # told or given back while this waited for its row
    state = requeue(connection, study, row.trial_id)
    log.warning(
        "%s #%d  %s is gone (%s): %s",
        study.name,
        number,
        row.worker,
        reason,
        "back in the queue" if state == TrialState.WAITING else "failed, its retries are used up",
        extra={"study": study.name, "trial": number, "event": "taken over", "worker": row.worker},
    )


# Running trials of histsearch's studies, each with its attempt and worker where it has them.
_RUNNING = (
    optuna_trials.join(
        optuna_study_attributes,
        and_(
            optuna_study_attributes.c.study_id == optuna_trials.c.study_id,
            optuna_study_attributes.c.key == DEFINITION,
            optuna_trials.c.state == TrialState.RUNNING.name,
        ),
    )
    .outerjoin(
        attempts,
        and_(attempts.c.trial_id == optuna_trials.c.trial_id, attempts.c.ended_at.is_(None)),
    )
    .outerjoin(workers, workers.c.id == attempts.c.worker_id)
)


def _abandoned(connection: Connection, worker_id: int) -> list[_Abandoned]:
    judge = workers.alias("judge")
    grace = func.make_interval(0, 0, 0, 0, 0, 0, workers.c.grace_seconds)
    judge_is_steady = (
        select(literal(1))
        .where(judge.c.id == worker_id, judge.c.steady_since < func.now() - grace)
        .exists()
    )
    gone = or_(
        attempts.c.id.is_(None),
        workers.c.ended_at.is_not(None),
        and_(workers.c.heartbeat_at < func.now() - grace, judge_is_steady),
    )
    query = (
        select(
            optuna_trials.c.study_id,
            optuna_trials.c.trial_id,
            attempts.c.id,
            workers.c.name,
            func.extract("epoch", func.now() - workers.c.heartbeat_at),
        )
        .select_from(_RUNNING)
        .where(gone)
    )
    return [_Abandoned(*row) for row in connection.execute(query)]


def doubtful_trials(storage: Storage, study_ids: Sequence[int], since: datetime) -> int:
    """Number of running trials whose workers have shown no sign of life after ``since``.

    Args:
        storage: The storage to look through.
        study_ids: The studies to look at.
        since: A time of the database's clock.
    """
    silent = or_(workers.c.id.is_(None), workers.c.heartbeat_at <= since)
    query = (
        select(func.count())
        .select_from(_RUNNING)
        .where(silent, optuna_trials.c.study_id.in_(study_ids))
    )
    with storage.begin() as connection:
        return connection.execute(query).scalar_one()


def database_time(storage: Storage) -> datetime:
    """What the database's clock says."""
    with storage.begin() as connection:
        time: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return time
