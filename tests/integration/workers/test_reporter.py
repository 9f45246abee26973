import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.database.tables import workers
from histsearch.exceptions import StorageError
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.claim import Claim
from histsearch.studies.queue import claim
from histsearch.studies.study import Study
from histsearch.workers.registry import Activity, list_workers
from histsearch.workers.reporter import Reporter
from tests.integration.claims import row_held, signed_on
from tests.integration.database.outage import outage
from tests.integration.studies.small_search import small_space
from tests.waiting import wait_until

WAIT_SECONDS = 60.0


def reporter_of(
    storage: Storage,
    worker_id: int,
    heartbeat_seconds: float = 0.1,
    patience_seconds: float = 60,
    clock: Callable[[], float] = time.monotonic,
) -> Reporter:
    return Reporter(
        storage,
        worker_id,
        heartbeat_seconds=heartbeat_seconds,
        patience_seconds=patience_seconds,
        clock=clock,
    )


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space())


@pytest.fixture
def worker_id(storage: Storage) -> int:
    return signed_on(storage)


@pytest.fixture
def held(study: Study, worker_id: int) -> Claim:
    one = claim(study, worker_id)
    assert one is not None
    return one


@pytest.fixture
def reporter(storage: Storage, worker_id: int, held: Claim) -> Iterator[Reporter]:
    with reporter_of(storage, worker_id) as running:
        running.begin(held)
        yield running


def report_steps(reporter: Reporter, held: Claim, *steps: int) -> None:
    for step in steps:
        reporter.report(lambda step=step: held.record({"last": step}, {step: step / 10}))  # type: ignore[misc]


def test_reports_arrive_in_order(reporter: Reporter, held: Claim, study: Study) -> None:
    report_steps(reporter, held, 3, 1, 2)
    assert reporter.settle(WAIT_SECONDS)
    (trial, *_) = study.trials()
    assert trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    assert trial.user_attrs["last"] == 2


def test_reports_are_kept_while_the_database_is_away_and_arrive_in_order_when_it_is_back(
    reporter: Reporter,
    held: Claim,
    study: Study,
    database: URL,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    with outage(database):
        wait_until(lambda: reporter.is_away)
        started = time.monotonic()
        report_steps(reporter, held, 2, 1)
        reporter.report(lambda: held.tell(TrialState.COMPLETE, 0.5), ends_claim=True)
        assert time.monotonic() - started < 1  # training isn't held up
        assert not reporter.settle(0.5)
        assert not reporter.should_stop()
    assert reporter.settle(WAIT_SECONDS)
    (trial, *_) = study.trials()
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)
    assert trial.user_attrs["last"] == 1
    wait_until(lambda: not reporter.is_away)
    assert caplog.text.count("the database is away") == 1
    assert caplog.text.count("the database is back") == 1


def test_a_connection_that_breaks_within_a_report_has_it_delivered_again_whole(
    reporter: Reporter, held: Claim, study: Study, database: URL
) -> None:
    calls = []

    def deliver() -> None:
        calls.append(0)
        if len(calls) == 1:
            with row_held(held) as connection, outage(database):
                within = study.storage.optuna_within(connection)
                within.set_trial_user_attr(held.trial._trial_id, "half", value=True)
        held.record({"whole": True})

    reporter.report(deliver)
    assert reporter.settle(WAIT_SECONDS)
    assert len(calls) == 2
    attributes = study.trials()[0].user_attrs
    assert attributes["whole"] is True
    assert "half" not in attributes


def test_out_of_patience_the_worker_is_to_stop_with_the_reason(
    storage: Storage, worker_id: int, held: Claim, database: URL
) -> None:
    with (
        outage(database),
        reporter_of(storage, worker_id, patience_seconds=0.3) as reporter,
    ):
        reporter.begin(held)
        wait_until(reporter.should_stop)
        with pytest.raises(StorageError, match="can't be used"):
            reporter.check()


def test_patience_goes_by_the_clock_that_leaves_suspensions_out(
    storage: Storage, worker_id: int, held: Claim, database: URL
) -> None:
    awake_seconds = 0.0
    with (
        outage(database),
        reporter_of(
            storage, worker_id, patience_seconds=0, clock=lambda: awake_seconds
        ) as reporter,
    ):
        reporter.begin(held)
        wait_until(lambda: reporter.is_away)
        assert not reporter.should_stop()
        reporter.check()
        awake_seconds = 0.1
        assert reporter.should_stop()
        with pytest.raises(StorageError, match="can't be used"):
            reporter.check()


def test_heartbeats_go_on_while_nothing_is_reported(reporter: Reporter, storage: Storage) -> None:
    reporter.show(Activity("training", "small", 0, 4, 10, 55.5, 1234))
    wait_until(lambda: list_workers(storage)[0].activity.epoch == 4)

    def heartbeat() -> object:
        with storage.begin() as connection:
            return connection.scalar(sqlalchemy.select(workers.c.heartbeat_at))

    first = heartbeat()
    wait_until(lambda: heartbeat() != first)


def test_a_deleted_study_shows_at_the_next_heartbeat(reporter: Reporter, study: Study) -> None:
    delete_study(study.storage, study.name)
    wait_until(lambda: reporter.lost)
    assert reporter.should_stop()


def test_reports_of_a_lost_trial_are_dropped(reporter: Reporter, held: Claim, study: Study) -> None:
    held.give_back()
    report_steps(reporter, held, 1)
    assert reporter.settle(WAIT_SECONDS)
    assert reporter.lost
    assert study.trials()[0].intermediate_values == {}


def test_the_end_of_its_own_attempt_is_no_loss(
    reporter: Reporter, held: Claim, storage: Storage
) -> None:
    reporter.report(lambda: held.tell(TrialState.COMPLETE, 0.5), ends_claim=True)
    assert reporter.settle(WAIT_SECONDS)
    reporter.show(Activity("after"))
    wait_until(lambda: list_workers(storage)[0].activity.word == "after")
    assert not reporter.lost


def test_a_worker_signs_off_at_its_end(storage: Storage, worker_id: int) -> None:
    with reporter_of(storage, worker_id):
        assert len(list_workers(storage)) == 1
    assert list_workers(storage) == []


def test_a_bug_in_a_report_comes_to_light(storage: Storage, worker_id: int, held: Claim) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    with reporter_of(storage, worker_id) as reporter:
        reporter.begin(held)
        reporter.report(broken)
        started = time.monotonic()
        assert not reporter.settle(WAIT_SECONDS)  # nothing undelivered may count as told
        assert time.monotonic() - started < WAIT_SECONDS / 2  # nobody is left to deliver it
        assert reporter.should_stop()
        with pytest.raises(ZeroDivisionError):
            reporter.check()


def test_a_process_holds_no_more_connections_than_promised(
    reporter: Reporter, study: Study, database: URL, worker_id: int
) -> None:
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        engine = sqlalchemy.create_engine(database.set(database="postgres"))
        query = sqlalchemy.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = :name "
            "AND backend_type = 'client backend'"
        )
        while not over.is_set():
            with engine.connect() as connection:
                count = connection.scalar(query, {"name": database.database})
                most = max(most, int(count or 0))
        engine.dispose()

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(2):
        one = claim(study, worker_id)
        assert one is not None
        report_steps(reporter, one, *range(1, 20))
        assert reporter.settle(WAIT_SECONDS)
    over.set()
    watcher.join()
    assert 1 <= most <= 3
