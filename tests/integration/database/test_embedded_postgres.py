import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from histsearch.database import embedded_postgres
from histsearch.database.storage import Storage
from histsearch.exceptions import StorageError
from histsearch.folders import HOME_VARIABLE
from histsearch.studies.catalog import create_search, list_studies
from tests.integration.database.side_by_side import run_side_by_side
from tests.integration.studies.small_search import small_space


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not under pytest's folder, for the reason that histsearch_home gives.
    with tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        monkeypatch.setenv(HOME_VARIABLE, str(home))
        yield home
        run_side_by_side(1, _stop, home)


def _stop(home: Path) -> None:
    os.environ[HOME_VARIABLE] = str(home)
    embedded_postgres.stop()


def test_processes_that_start_it_together_get_the_same_server(home: Path) -> None:
    first, second = run_side_by_side(2, _started_server, home)
    assert first == second
    assert embedded_postgres.is_running()


def _started_server(home: Path) -> tuple[str, int]:
    os.environ[HOME_VARIABLE] = str(home)
    engine = sqlalchemy.create_engine(embedded_postgres.start(), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        started = connection.scalar(sqlalchemy.text("SELECT pg_postmaster_start_time()"))
    return str(started), _process_id()


def _process_id() -> int:
    return int(_process_file().read_text().split("\n")[0])


def _process_file() -> Path:
    return embedded_postgres.database_folder() / "postmaster.pid"


def test_it_starts_once_and_stops_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not embedded_postgres.is_running()
    url, process_id = embedded_postgres.start(), _process_id()
    assert embedded_postgres.is_running()
    assert (embedded_postgres.start(), _process_id()) == (url, process_id)

    monkeypatch.setenv(HOME_VARIABLE, str(home.parent / "elsewhere"))
    assert not embedded_postgres.is_running()
    assert not embedded_postgres.stop()

    monkeypatch.setenv(HOME_VARIABLE, str(home))
    assert embedded_postgres.stop()
    assert not embedded_postgres.is_running()
    assert not embedded_postgres.stop()


def test_studies_outlive_the_server(home: Path) -> None:
    create_search(Storage(embedded_postgres.start()), small_space())
    embedded_postgres.stop()
    assert run_side_by_side(1, _studies, home) == [["small"]]


def _studies(home: Path) -> list[str]:
    os.environ[HOME_VARIABLE] = str(home)
    return [study.name for study in list_studies(Storage(embedded_postgres.start()))]


@pytest.mark.usefixtures("home")
def test_it_starts_again_in_the_process_that_stopped_it() -> None:
    embedded_postgres.start()
    embedded_postgres.stop()
    assert list_studies(Storage(embedded_postgres.start())) == []


def test_it_stops_in_the_process_that_started_the_one_before(home: Path) -> None:
    embedded_postgres.start()
    embedded_postgres.stop()
    run_side_by_side(1, _studies, home)
    assert embedded_postgres.stop()
    assert not embedded_postgres.is_running()


def test_a_process_that_got_the_number_of_a_crashed_server_is_left_alone(home: Path) -> None:
    embedded_postgres.start()
    process_id, left_behind = _process_id(), _process_file().read_text()
    embedded_postgres.stop()
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as other:
        _process_file().write_text(left_behind.replace(str(process_id), str(other.pid), 1))
        assert not embedded_postgres.is_running()
        assert not embedded_postgres.stop()
        assert run_side_by_side(1, _studies, home) == [[]]
        assert other.poll() is None


def test_home_variable_says_where_the_data_lie(home: Path) -> None:
    assert embedded_postgres.database_folder() == home / "postgres"


def test_home_that_cannot_be_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file" / "home"))
    with pytest.raises(StorageError, match=f"{tmp_path}/file/home/postgres .*{HOME_VARIABLE}"):
        embedded_postgres.start()
    assert not embedded_postgres.is_running()
