"""Which waiting trials a worker had better leave to others for now: those that failed on it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection, Row

from histsearch.database.tables import attempts, optuna_trials, workers
from histsearch.studies.attempt_endings import Ending


def is_at_work_elsewhere(connection: Connection, study_id: int, worker_id: int) -> bool:
    """Whether another worker that shows signs of life trains a trial of the study."""
    grace = func.make_interval(0, 0, 0, 0, 0, 0, workers.c.grace_seconds)
    query = (
        select(func.count())
        .select_from(attempts)
        .join(workers, workers.c.id == attempts.c.worker_id)
        .join(optuna_trials, optuna_trials.c.trial_id == attempts.c.trial_id)
        .where(
            optuna_trials.c.study_id == study_id,
            attempts.c.ended_at.is_(None),
            workers.c.id != worker_id,
            workers.c.ended_at.is_(None),
            workers.c.heartbeat_at > func.now() - grace,
        )
    )
    return bool(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class FailedHere:
    """Waiting trials, by key, that failed on a worker at the last attempt.

    Attributes:
        lacking: Those that the worker lacked something for.
        others: The rest.
    """

    lacking: Collection[int]
    others: Collection[int]

    def __contains__(self, trial_id: int) -> bool:
        return trial_id in self.lacking or trial_id in self.others


def failed_here(connection: Connection, trial_ids: Sequence[int], worker_id: int) -> FailedHere:
    """Which trials a worker had better leave to others for now.

    A process that hung or died early was another one, on the same machine and GPU.
    """
    if not trial_ids:
        return FailedHere((), ())
    mine = workers.alias("mine")
    same_place = and_(workers.c.host == mine.c.host, workers.c.gpu.is_not_distinct_from(mine.c.gpu))
    query = (
        select(
            attempts.c.trial_id,
            attempts.c.ending,
            attempts.c.worker_id,
            same_place.label("same_place"),
        )
        .join(workers, workers.c.id == attempts.c.worker_id)
        .join(mine, mine.c.id == worker_id)
        .where(attempts.c.trial_id.in_(trial_ids))
        .order_by(attempts.c.number)
    )
    last = {row.trial_id: row for row in connection.execute(query)}
    lacking: set[int] = set()
    others: set[int] = set()
    for row in last.values():
        if row.ending == Ending.LACK and row.worker_id == worker_id:
            lacking.add(row.trial_id)
        elif _failed_otherwise(row, worker_id):
            others.add(row.trial_id)
    return FailedHere(lacking, others)


def _failed_otherwise(row: Row[Any], worker_id: int) -> bool:
    if row.ending == Ending.CRASHED:
        return bool(row.worker_id == worker_id)
    return row.ending in (Ending.STALLED, Ending.LOST_EARLY) and row.same_place
