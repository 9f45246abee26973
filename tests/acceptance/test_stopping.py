import json
import signal
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import URL

from tests.acceptance.processes import Run, Start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_worker_and_returns_its_trial(
    run: Run, start: Start, stripes_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    endless = tmp_path / "endless.toml"
    endless.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 100000"))
    run("study", "create", str(endless))
    worker = start("worker", "--device", "cpu")
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any("epoch 1/" in line for line in lines)

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
    run: Run, start: Start, stripes_file: Path, tmp_path: Path, database: URL
) -> None:
    endless = tmp_path / "endless.toml"
    endless.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 100000"))
    run("study", "create", str(endless))
    worker = start("worker", "--device", "cpu")
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any("epoch 1/" in line for line in lines)

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
