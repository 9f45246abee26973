import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import URL

from tests.acceptance.processes import Run, Start

TrainingWorker = tuple[subprocess.Popen[str], Iterator[str]]


@pytest.fixture
def training_worker(run: Run, start: Start, stripes_file: Path, tmp_path: Path) -> TrainingWorker:
    """A worker in the midst of an endless trial, and the lines it prints from then on."""
    endless = tmp_path / "endless.toml"
    endless.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 100000"))
    run("study", "create", str(endless))
    worker = start("worker", "--device", "cpu")
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any("epoch 1/" in line for line in lines)
    return worker, lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_stop_signal_ends_the_worker_and_returns_its_trial(
    run: Run, training_worker: TrainingWorker, number: signal.Signals
) -> None:
    worker, lines = training_worker

    worker.send_signal(number)
    log = "".join(lines)
    assert worker.wait() == 0
    assert "#0  interrupted: back in the queue" in log
    assert "Traceback" not in log
    assert json.loads(run("study", "show", "stripes", "--json").stdout)["trials"] == {"WAITING": 1}


def test_an_idle_worker_stops_at_once(start: Start) -> None:
    worker = start("worker", "--device", "cpu")
    assert worker.stdout is not None
    assert "waiting for work" in worker.stdout.readline()
    worker.send_signal(signal.SIGINT)
    assert worker.wait() == 0


def test_a_database_that_goes_away_is_one_clear_line(
    training_worker: TrainingWorker, database: URL
) -> None:
    worker, lines = training_worker

    engine = sqlalchemy.create_engine(
        database.set(database="postgres"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text(f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS false")
        )
        connection.execute(
            sqlalchemy.text(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608
                f"WHERE datname = '{database.database}'"
            )
        )
    engine.dispose()
    log = "".join(lines)
    assert worker.wait() == 2
    assert "error: PostgreSQL at" in log
    assert "Traceback" not in log
