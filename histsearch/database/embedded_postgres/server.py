"""The server that histsearch runs where no storage is named.

It starts when needed, goes on running, and serves every process of its user on this machine
through a Unix socket.
"""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from histsearch.database.embedded_postgres import access, owner, programs
from histsearch.database.embedded_postgres.account import (
    ROOTS_SERVER,
    Account,
    database_folder,
    make_parent,
    server_account,
)
from histsearch.database.embedded_postgres.machine import batch_job, is_on_network
from histsearch.database.embedded_postgres.owner import Owner
from histsearch.database.embedded_postgres.postmaster import FILE as POSTMASTER_FILE
from histsearch.database.embedded_postgres.postmaster import Postmaster
from histsearch.database.embedded_postgres.waiting import wait_until
from histsearch.exceptions import StorageError
from histsearch.folders import HOME_VARIABLE, home

log = logging.getLogger(__name__)

START_SECONDS = 300.0
"""A server may take so long to start: after a crash it first reads its log again."""

STOP_SECONDS = 60.0

# A fast stop, and where that hangs an immediate one, after which the next start reads its log.
_STOPS = ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 15.0))


def find_folder() -> Path:
    """The server's database folder, which may not be there yet.

    Raises:
        StorageError: It can't be looked for.
    """
    try:
        folder = database_folder()
        Postmaster.of(folder)
    except OSError as error:
        raise _unusable(home(), error) from error
    return folder


def is_running() -> bool:
    """Whether the embedded server is up on this machine, without starting it.

    Raises:
        StorageError: Its folder can't be looked at.
    """
    folder = find_folder()
    postmaster = Postmaster.of(folder)
    return postmaster is not None and postmaster.runs(folder)


def start(*, take_over: bool = False) -> URL:
    """Start the embedded server unless it runs already, and return its URL.

    Args:
        take_over: Use a folder that another host didn't leave cleanly, as its server crashed.

    Raises:
        StorageError: Its folder can't be written, another host may use it, or the server doesn't
            come up.
    """
    folder = find_folder()
    _check_name(folder)
    try:
        return _running(folder) or _start(folder, take_over=take_over)
    except OSError as error:
        raise _unusable(folder, error) from error


def stop() -> bool:
    """Stop the embedded server; False if it wasn't running. Studies stay on disk.

    Raises:
        StorageError: It runs on another host, or doesn't end.
    """
    folder = find_folder()
    if not is_running():
        owner.refuse_elsewhere(folder)
        return False
    try:
        with _alone(folder):
            _end(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    return True


def _running(folder: Path) -> URL | None:
    """The URL of the running server; None if it doesn't run, or not as it should."""
    postmaster = Postmaster.of(folder)
    if postmaster is None or postmaster.status != "ready" or not postmaster.runs(folder):
        return None
    if not (postmaster.socket_folder / access.SOCKET).exists():
        return None
    account = server_account(folder)
    if not access.is_restricted(folder, account):
        return None
    _tell_job(folder)
    return _url(postmaster, account)


def _tell_job(folder: Path) -> None:
    """Warn a process that the server ends with a batch job that isn't this process's."""
    running = Owner.of(folder)
    if running is not None and running.job not in (None, batch_job()):
        log.warning(
            "the embedded PostgreSQL runs within %s and ends with it; %s",
            running.job,
            "to keep it, run histsearch db stop and start it outside of jobs, or name a PostgreSQL "
            "with --storage or HISTSEARCH_STORAGE (docs/shared-machines.md)",
        )


def _url(postmaster: Postmaster, account: Account) -> URL:
    return URL.create(
        "postgresql+psycopg2",
        username="postgres",
        database="postgres",
        query={
            "host": str(postmaster.socket_folder),
            "port": str(access.PORT),
            # No server of another user's that took the socket's place is talked to.
            "requirepeer": account.name,
        },
    )


def _start(folder: Path, *, take_over: bool) -> URL:
    make_parent(folder)
    account = server_account(folder)
    with _alone(folder) as turn:
        if _is_up(folder):
            return _reach(folder, account)
        if not (folder / "PG_VERSION").exists():
            _create(folder, account, turn)
        _check_version(folder)
        if take_over:
            owner.take_over(folder)
        else:
            owner.check(folder)
        _tell_place(folder)
        return _launch(folder, account)


def _is_up(folder: Path) -> bool:
    """Whether the server runs, once one that is just starting or stopping has done so."""

    def is_settled() -> bool:
        postmaster = Postmaster.of(folder)
        return postmaster is None or not postmaster.runs(folder) or postmaster.status == "ready"

    wait_until(is_settled, STOP_SECONDS)
    return is_running()


def _reach(folder: Path, account: Account) -> URL:
    """The URL of a running server, which is first made to let this user in, and nobody else."""
    postmaster = Postmaster.of(folder)
    if postmaster is not None and postmaster.status == "ready":
        if not access.is_restricted(folder, account):
            access.restrict(folder, account)
            os.kill(postmaster.process_id, signal.SIGHUP)
        if (postmaster.socket_folder / access.SOCKET).exists():
            return _url(postmaster, account)
    log.warning("the embedded PostgreSQL can't be reached (its socket is gone): starting it again")
    _end(folder)
    return _launch(folder, account)


def _create(folder: Path, account: Account, turn: int) -> None:
    """Create the databases, as a whole or not at all.

    Args:
        folder: Their folder.
        account: Whose they are.
        turn: The lock of `_alone`, which initdb keeps if this process is killed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StorageError(
            f"found {folder}, which holds no PostgreSQL's data, needed: that, or an empty folder; "
            f"move it away, or {programs.OTHER_STORAGE}"
        )
    prefix = f"{folder.name}.new-"
    for left_over in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_over)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True
    ) as name:
        Path(name).chmod(0o711)
        new = Path(name) / folder.name
        new.mkdir(mode=0o700)
        account.take(new)
        arguments = ["-D", str(new), "-U", "postgres", "--encoding=UTF8", "--locale=C"]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        arguments += ["--auth-local=peer", "--auth-host=reject"]
        begin = programs.log_size(folder)
        process = programs.spawn("initdb", arguments, account, folder, keep_open=(turn,))
        if process.wait() != 0:
            raise programs.does_not_start(folder, begin)
        new.rename(folder)


def _check_version(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != programs.MAJOR_VERSION:
        raise StorageError(
            f"found data of PostgreSQL {found} in {folder}, needed: {programs.MAJOR_VERSION}; move "
            f"the folder away, or {programs.OTHER_STORAGE}"
        )


def _tell_place(folder: Path) -> None:
    """Say what isn't expected of the server that is about to start."""
    if folder.parent != home():
        log.warning(
            "the account %s, which runs root's PostgreSQL, can't reach %s: the databases are in "
            "%s; for another place set %s to a folder open to it",
            ROOTS_SERVER,
            home(),
            folder,
            HOME_VARIABLE,
        )
    if is_on_network(folder):
        log.warning(
            "%s lies on a network file system: only this host may use its PostgreSQL; %s",
            folder,
            owner.COMMON_SERVER,
        )
    job = batch_job()
    if job is not None:
        log.warning(
            "the embedded PostgreSQL starts within %s and ends with it, under all that use it; "
            "start it outside of jobs, or name a PostgreSQL with --storage or HISTSEARCH_STORAGE "
            "(docs/shared-machines.md)",
            job,
        )


def _launch(folder: Path, account: Account) -> URL:
    """Start the server of a folder that none runs on, and wait until it answers."""
    begin = programs.log_size(folder)
    process = _spawn(folder, account)

    def is_ready() -> bool:
        postmaster = Postmaster.of(folder)
        return postmaster is not None and postmaster.status == "ready"

    def has_failed() -> bool:
        # Without room on its disk it may wait for ever, neither ready nor ended.
        return process.poll() is not None or programs.lacks_room(folder, begin)

    wait_until(lambda: is_ready() or has_failed(), START_SECONDS)
    postmaster = Postmaster.of(folder)
    if process.poll() is not None or postmaster is None or postmaster.status != "ready":
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_SECONDS)
        raise programs.does_not_start(folder, begin)
    # Where this process outlives the server, nobody else would take note of its end.
    threading.Thread(target=process.wait, name="embedded-postgres", daemon=True).start()
    return _url(postmaster, account)


def _spawn(folder: Path, account: Account) -> "subprocess.Popen[bytes]":
    lock = Owner.this().hold(folder, account)
    try:
        sockets = access.socket_folder(folder, account)
        # What a crash left: their process numbers may be anyone's now, also in a new container.
        for left_over in (folder / POSTMASTER_FILE, sockets / f"{access.SOCKET}.lock"):
            left_over.unlink(missing_ok=True)
        access.restrict(folder, account)
        arguments = ["-D", str(folder)]
        for name, value in _settings(sockets).items():
            arguments += ["-c", f"{name}={value}"]
        return programs.spawn("postgres", arguments, account, folder, keep_open=(lock,))
    finally:
        os.close(lock)  # in this process: the server has it now


def _settings(sockets: Path) -> dict[str, str]:
    quoted = str(sockets).replace('"', '""')
    return {
        "listen_addresses": "",
        "port": str(access.PORT),
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        # Also for databases that were created in a locale that this machine lacks.
        **dict.fromkeys(("lc_messages", "lc_monetary", "lc_numeric", "lc_time"), "C"),
    }


def _end(folder: Path) -> None:
    """Stop the running server at once; its connections break."""
    postmaster = Postmaster.of(folder)
    if postmaster is None or not postmaster.runs(folder):
        return
    for number, seconds in _STOPS:
        try:
            os.kill(postmaster.process_id, number)
        except ProcessLookupError:
            break
        except PermissionError:
            raise StorageError(
                f"the embedded PostgreSQL in {folder} is another user's; let that user stop it"
            ) from None
        if wait_until(lambda: not postmaster.runs(folder), seconds):
            break
    else:
        raise StorageError(
            f"the embedded PostgreSQL in {folder} doesn't stop; look at {programs.log_file(folder)}"
        )
    owner.release(folder)
    if postmaster.socket_folder != folder:
        access.remove_socket_folder(postmaster.socket_folder)


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Keep other processes from starting or stopping the server meanwhile.

    Gives the open file that holds the lock.

    Raises:
        StorageError: Another one takes too long.
    """
    path = folder.with_name(f"{folder.name}.lock")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        parent = folder.parent.stat()
        # In a folder of another user's, who needs it next time.
        Account("", parent.st_uid, parent.st_gid).take(file)
        if not wait_until(lambda: _is_locked(file), START_SECONDS):
            raise StorageError(
                f"another process has been starting or stopping the embedded PostgreSQL in "
                f"{folder} for {START_SECONDS:.0f} s; end that process"
            )
        yield file
    finally:
        os.close(file)


def _is_locked(file: int) -> bool:
    try:
        owner.lock(file)
    except BlockingIOError:
        return False
    return True


def _check_name(folder: Path) -> None:
    if "\n" in str(folder):
        raise StorageError(
            f"found a line break in the name of {folder}, where PostgreSQL can't keep data; set "
            f"{HOME_VARIABLE} to another folder"
        )


def _unusable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the embedded PostgreSQL can't use {error.filename or folder} ({error.strerror}); set "
        f"{HOME_VARIABLE} to a writable folder, or HISTSEARCH_STORAGE to a PostgreSQL of your own"
    )
