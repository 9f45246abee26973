"""The embedded PostgreSQL on machines that others share, as scripts that root can run."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histsearch.database.embedded_postgres.account import SYSTEM_FOLDER
from histsearch.folders import HOME_VARIABLE
from tests.acceptance.processes import PATIENCE_SECONDS
from tests.homes import temporary_home
from tests.other_users import ALICE, BOB, as_user, missing_for_other_users
from tests.waiting import wait_until

_REPOSITORY = Path(__file__).parents[2]
_NAMESPACES = ("unshare", "--pid", "--ipc", "--uts", "--mount-proc", "--fork", "--kill-child")
_HISTSEARCH = (sys.executable, "-m", "histsearch")
_STAY = 'hostname "$1"; shift; "$@"; echo started; sleep 1000'
_RETURN = 'hostname "$1"; shift; "$@"'


def _without_namespaces() -> str | None:
    if os.geteuid() != 0:
        return "needs root, to stand for two hosts"
    done = subprocess.run([*_NAMESPACES, "true"], capture_output=True, text=True)
    return f"needs namespaces: {done.stderr.strip()}" if done.returncode else None


needs_hosts = pytest.mark.skipif(
    _without_namespaces() is not None, reason=str(_without_namespaces())
)
needs_users = pytest.mark.skipif(
    missing_for_other_users() is not None, reason=str(missing_for_other_users())
)


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        home = folder / "home"
        yield home
        _run(*_HISTSEARCH, "db", "stop", home=home)


def _environment(home: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "HISTSEARCH_STORAGE"}
    paths = {HOME_VARIABLE: str(home), "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"}
    return {**kept, **paths, "PYTHONDONTWRITEBYTECODE": "1", **changes}


def _run(*command: str, home: Path, **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=_environment(home, **changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def _on(host: str, *arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run ``histsearch`` on a host of that name, which has processes of its own."""
    return _run(*_NAMESPACES, "sh", "-c", _RETURN, "sh", host, *_HISTSEARCH, *arguments, home=home)


@contextmanager
def _up(host: str, home: Path) -> Iterator[None]:
    """A host on which the embedded PostgreSQL runs, until it loses power."""
    command = [*_NAMESPACES, "sh", "-c", _STAY, "sh", host, *_HISTSEARCH, "db", "start"]
    with subprocess.Popen(
        command, env=_environment(home), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "runs in" in process.stdout.readline()
        assert process.stdout.readline() == "started\n"
        yield
        process.kill()


@needs_hosts
def test_two_hosts_that_share_a_home_never_run_two_servers_on_it(home: Path) -> None:
    with _up("alpha", home):
        before = (home / "postgres" / "postmaster.pid").read_text()
        for command in (
            ["status"],
            ["db", "start"],
            ["db", "start", "--take-over"],
            ["db", "stop"],
        ):
            refused = _on("beta", *command, home=home)
            assert refused.returncode == 2
            assert "runs on alpha" in refused.stderr
            assert "--storage" in refused.stderr
        assert (home / "postgres" / "postmaster.pid").read_text() == before
    wait_until(lambda: not _servers(home), "the host without power")

    refused = _on("beta", "status", home=home)
    assert refused.returncode == 2
    assert "was started on alpha and hasn't been stopped" in refused.stderr
    assert "histsearch db start --take-over" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    taken = _on("beta", "db", "start", "--take-over", home=home)
    assert taken.returncode == 0, taken.stderr
    # Beta has gone like alpha, so only beta may go on.
    assert _on("alpha", "status", home=home).returncode == 2
    assert _on("beta", "db", "start", home=home).returncode == 0


@needs_hosts
@pytest.mark.parametrize("how", ["histsearch db stop", "TERM"])
def test_a_folder_that_was_left_cleanly_is_any_hosts(home: Path, how: str) -> None:
    stop = f"{sys.executable} -m {how}"
    if how == "TERM":
        file = home / "postgres" / "postmaster.pid"
        stop = f"kill -TERM $(head -1 {file}); while [ -e {file} ]; do sleep 0.05; done"
    script = f'hostname alpha; "$@"; {stop}'
    left = _run(*_NAMESPACES, "sh", "-c", script, "sh", *_HISTSEARCH, "db", "start", home=home)
    assert left.returncode == 0, left.stderr
    assert _on("beta", "db", "start", home=home).returncode == 0


@needs_hosts
def test_a_container_that_restarts_on_its_volume_just_starts(home: Path) -> None:
    with _up("c0ffee", home):
        pass
    wait_until(lambda: not _servers(home), "the container's end")
    for file in ("postmaster.pid", ".s.PGSQL.5432.lock"):  # its number is another process's now
        path = home / "postgres" / file
        path.write_text("1\n" + path.read_text().partition("\n")[2])
    again = _on("c0ffee", "db", "start", home=home)
    assert again.returncode == 0, again.stderr


@needs_users
def test_two_users_each_have_a_server_and_neither_gets_into_the_others() -> None:
    with temporary_home() as alices, temporary_home() as bobs:
        homes = {ALICE: alices / ("a" * 100), BOB: bobs / "home"}  # a long name: no socket inside
        for user, home in homes.items():
            shutil.chown(home.parent, user)
            started = _run(*as_user(user, [*_HISTSEARCH, "db", "start"]), home=home)
            assert started.returncode == 0, started.stderr
        try:
            for user, home in homes.items():
                listed = _run(*as_user(user, [*_HISTSEARCH, "db", "status"]), home=home)
                assert "running, 0 studies" in listed.stdout, listed.stderr
            for thief, user in ((BOB, ALICE), (ALICE, BOB)):
                assert "connected" not in _intrude(thief, homes[user])
        finally:
            for user, home in homes.items():
                _run(*as_user(user, [*_HISTSEARCH, "db", "stop"]), home=home)


def _intrude(thief: str, home: Path) -> str:
    """What comes of another user's attempts at a server, also if its socket were reachable."""
    lines = (home / "postgres" / "postmaster.pid").read_text().split("\n")
    sockets = Path(lines[4])
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    program = (
        "import psycopg2, sys\n"
        "try:\n"
        "    psycopg2.connect(host=sys.argv[1], user='postgres', dbname='postgres')\n"
        "    print('connected')\n"
        "except psycopg2.OperationalError as error:\n"
        "    print(error)\n"
    )
    attempt = as_user(thief, [sys.executable, "-c", program, str(sockets)])
    answers = _run(*attempt, home=home).stdout
    assert "Permission denied" in answers
    modes = {path: path.stat().st_mode for path in (*sockets.parents, sockets)}
    try:
        for path in (home.parent, home, sockets, sockets / ".s.PGSQL.5432"):
            path.chmod(0o777)
        answers += _run(*attempt, home=home).stdout
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert "Peer authentication failed" in answers
    return answers


@needs_users
def test_root_with_a_private_home_opens_nothing_and_says_where_its_databases_are() -> None:
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        home = private / "home"
        home.mkdir()
        watched = [home, private, *private.parents, Path(sys.prefix), Path(sys.base_prefix)]
        before = {path: path.stat().st_mode for path in watched}
        started = _run(*_HISTSEARCH, "db", "start", home=home)
        try:
            assert started.returncode == 0, started.stderr
            assert {path: path.stat().st_mode for path in watched} == before
            place = Path(started.stdout.strip().rpartition(" ")[2])
            assert place.is_relative_to(SYSTEM_FOLDER)
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert started.stderr.count(str(place)) == 1
            assert "running" in _run(*_HISTSEARCH, "db", "status", home=home).stdout
        finally:
            _run(*_HISTSEARCH, "db", "stop", home=home)
            for left in SYSTEM_FOLDER.glob(f"{place.name}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _job_group() -> Path | None:
    """A new control group whose processes can be killed at once; None where there is none."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            group = Path(place) / f"histsearch-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                return None
            return group if (group / "cgroup.kill").exists() else None
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a control group")
def test_a_server_within_a_batch_job_is_announced_and_its_end_loses_nothing(home: Path) -> None:
    group = _job_group()
    if group is None:
        pytest.skip("needs control groups of version 2 with cgroup.kill")
    enter = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    started = _run(
        "sh", "-c", enter, "sh", *_HISTSEARCH, "db", "start", home=home, SLURM_JOB_ID="4711"
    )
    assert started.returncode == 0, started.stderr
    assert "starts within Slurm job 4711 and ends with it" in started.stderr
    assert "--storage" in started.stderr

    other = _run(*_HISTSEARCH, "db", "status", home=home, SLURM_JOB_ID="4712")
    assert "runs within Slurm job 4711 and ends with it" in other.stderr

    (group / "cgroup.kill").write_text("1")
    wait_until(lambda: not _servers(home), "the end of the job")
    again = _run(*_HISTSEARCH, "db", "start", home=home)
    assert again.returncode == 0
    assert again.stderr == ""
    group.rmdir()


def _servers(home: Path) -> list[str]:
    """The processes of a home's PostgreSQL, wherever they run."""
    folder = str(home / "postgres").encode()
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found
