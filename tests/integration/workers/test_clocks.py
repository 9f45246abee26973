"""Takeover while the database's clock is set, and while a worker is stopped inside a write."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import pytest
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database import storage as storage_module
from histsearch.database.storage import Storage
from histsearch.database.tables import attempts
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.claim import Claim
from histsearch.studies.liveness import DoubtfulTrials
from histsearch.studies.queue import claim, requeue_abandoned
from histsearch.studies.study import Study
from histsearch.workers.registry import grace_seconds
from histsearch.workers.reporter import Reporter
from tests.integration.claims import row_held, signed_on
from tests.integration.database.side_by_side import PROCESSES
from tests.integration.studies.small_search import small_space

WAIT_SECONDS = 60.0
HEARTBEAT_SECONDS = 0.5
HOUR = 3600


@dataclass(frozen=True)
class Clock:
    """The clock of a database, by which all its sessions go."""

    storage: Storage

    def turn(self, seconds: int) -> None:
        """Set it forward, or back."""
        with self.storage.begin() as connection:
            connection.execute(
                sqlalchemy.text("UPDATE clock.turned SET seconds = seconds + :seconds"),
                {"seconds": seconds},
            )


@pytest.fixture
def clock(database: URL) -> Clock:
    """A storage whose database has a clock that can be set.

    The server's own can't be set for one database, so PostgreSQL's functions are put behind others
    of the same names.
    """
    engine = sqlalchemy.create_engine(database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in (
            "CREATE SCHEMA clock",
            "CREATE TABLE clock.turned (seconds integer)",
            "INSERT INTO clock.turned VALUES (0)",
            *(
                f"CREATE FUNCTION clock.{name}() RETURNS timestamptz LANGUAGE sql AS 'SELECT "  # noqa: S608
                f"pg_catalog.{name}() + make_interval(secs => seconds) FROM clock.turned'"
                for name in ("now", "clock_timestamp")
            ),
            f"ALTER DATABASE {database.database} SET search_path = public, clock, pg_catalog",
        ):
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    return Clock(Storage(database))


@contextmanager
def reporting(storage: Storage, worker_id: int) -> Iterator[Reporter]:
    with Reporter(
        storage, worker_id, heartbeat_seconds=HEARTBEAT_SECONDS, patience_seconds=60
    ) as reporter:
        yield reporter


def claimed_by(study: Study, name: str) -> Claim:
    worker_id = signed_on(study.storage, heartbeat_seconds=HEARTBEAT_SECONDS, name=name)
    one = claim(study, worker_id)
    assert one is not None
    return one


def worker_of(one: Claim) -> int:
    with one.study.storage.begin() as connection:
        query = sqlalchemy.select(attempts.c.worker_id).where(attempts.c.id == one.id)
        return int(connection.execute(query).scalar_one())


def seconds_until(condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < WAIT_SECONDS
        time.sleep(0.02)
    return time.monotonic() - started


def test_a_clock_that_is_set_neither_stops_a_takeover_nor_brings_one_about(clock: Clock) -> None:
    storage = clock.storage
    study = create_search(storage, small_space(trials=3))
    living, victim = claimed_by(study, "living"), claimed_by(study, "victim")
    judge_id = signed_on(storage, heartbeat_seconds=HEARTBEAT_SECONDS, name="judge")

    def states() -> list[TrialState]:
        requeue_abandoned(storage, judge_id, judge.watch)
        return [trial.state for trial in study.trials()[:2]]

    with reporting(storage, worker_of(living)), reporting(storage, judge_id) as judge:
        assert states() == [TrialState.RUNNING] * 2
        clock.turn(-HOUR)
        doubts = DoubtfulTrials()
        assert doubts.count(storage, [study.id]) == 2
        seconds_until(lambda: states() == [TrialState.RUNNING, TrialState.WAITING])
        assert doubts.count(storage, [study.id]) == 0
        clock.turn(2 * HOUR)
        over = time.monotonic() + 1.5 * grace_seconds(HEARTBEAT_SECONDS)
        while time.monotonic() < over:
            assert states() == [TrialState.RUNNING, TrialState.WAITING]
            time.sleep(0.1)
    assert [living.trial.number, victim.trial.number] == [0, 1]


def hold_a_row(url: URL, pipe: Pipe) -> None:
    """Claim a trial, and pause for ever within a write."""
    storage_module.LEAST_PAUSE_SECONDS = 1.0
    storage = Storage(url)
    storage.limit_pauses(grace_seconds(HEARTBEAT_SECONDS) / 2)
    one = claimed_by(find_study(storage, "small"), "stopped")
    with row_held(one):
        pipe.send("holding")
        time.sleep(3600)


def test_a_worker_that_is_stopped_within_a_write_is_taken_over_after_its_grace(
    storage: Storage, database: URL
) -> None:
    study = create_search(storage, small_space(trials=1))
    ours, theirs = PROCESSES.Pipe()
    stopped = PROCESSES.Process(target=hold_a_row, args=(database, theirs))
    stopped.start()
    try:
        assert ours.recv() == "holding"
        assert stopped.pid is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        judge_id = signed_on(storage, heartbeat_seconds=HEARTBEAT_SECONDS)
        with reporting(storage, judge_id) as judge:

            def taken_over() -> bool:
                requeue_abandoned(storage, judge_id, judge.watch)
                return study.count(TrialState.WAITING) == 1

            assert seconds_until(taken_over) < 20, "PostgreSQL's usual limit is two minutes"
    finally:
        stopped.kill()
        stopped.join()
