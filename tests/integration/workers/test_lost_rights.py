"""A worker whose role loses a right."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import select
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.database.tables import attempts
from histsearch.exceptions import DatabaseAwayError, StorageError
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.database.roles import WRITE, execute, role
from tests.integration.workers.test_worker import create, settings
from tests.waiting import wait_until


class Stop(StopRequest):
    def request(self) -> None:
        self._requested = True


@contextmanager
def working(storage: Storage, how: WorkerSettings) -> Iterator[Future[None]]:
    """A worker, stopped at the end of the block if it hasn't ended by itself."""
    stop = Stop()
    with ThreadPoolExecutor() as pool:
        try:
            yield pool.submit(run_worker, storage, how, stop)
        finally:
            stop.request()


def test_a_worker_that_loses_its_rights_saves_its_trial_and_ends(
    storage: Storage,
    database: URL,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = create(storage, stripes, epochs=15, trials=1)
    # What is saved is what the end of the run saves.
    patient = replace(
        settings(data_dir),
        checkpoints=str(tmp_path),
        checkpoint_every=1000,
        heartbeat_seconds=0.2,
        patience_seconds=3600,
    )
    with role(database, *WRITE) as writer, working(Storage(writer), patient) as running:
        wait_until(lambda: any(trial.intermediate_values for trial in study.trials()), "an epoch")
        execute(
            database,
            "REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM {role}",
            role=str(writer.username),
        )
        error = running.exception(timeout=60)
    assert isinstance(error, StorageError)
    assert not isinstance(error, DatabaseAwayError)
    assert f'role "{writer.username}" may not write to' in str(error)
    assert not [record for record in caplog.records if record.exc_info]

    told = max(study.trials()[0].intermediate_values)
    run_worker(storage, patient, StopRequest())
    with storage.begin() as connection:
        resumed = connection.scalars(select(attempts.c.resumed_after).order_by(attempts.c.id)).all()
    assert resumed[1] >= told
    assert study.count(TrialState.COMPLETE) == 1


def test_a_worker_whose_connections_are_refused_for_good_ends(
    storage: Storage, database: URL, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, epochs=1, trials=1)
    patient = replace(settings(data_dir), heartbeat_seconds=0.2, patience_seconds=3600, drain=False)
    with role(database, *WRITE) as writer, working(Storage(writer), patient) as running:
        wait_until(lambda: study.count(TrialState.COMPLETE) == 1, "the trial")
        execute(
            database,
            "ALTER ROLE {role} NOLOGIN",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
            role=str(writer.username),
        )
        error = running.exception(timeout=60)
    assert isinstance(error, StorageError)
    assert "not permitted to log in" in str(error)
