"""Which machine may use a database folder: a record in it, locked for as long as its server lives.

The lock goes to the server and to each of its processes, so that it is free once the last of them
has ended. The kernel sees to that, also from one container to another.
"""

import errno
import fcntl
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

from histsearch.database.embedded_postgres.account import Account
from histsearch.database.embedded_postgres.machine import Machine, batch_job, is_on_network
from histsearch.database.embedded_postgres.postmaster import FILE as POSTMASTER_FILE
from histsearch.database.embedded_postgres.postmaster import Postmaster
from histsearch.database.embedded_postgres.waiting import wait_until
from histsearch.exceptions import StorageError

log = logging.getLogger(__name__)

LAST_PROCESSES_SECONDS = 10.0
"""So long the processes of a server that crashed may take to end."""

FENCE_SECONDS = 130.0
"""A server looks for its process file every minute, and a network file system may show it a file
that is gone for another."""

COMMON_SERVER = (
    "for several hosts run a PostgreSQL that all of them reach, and name it with --storage or "
    "HISTSEARCH_STORAGE (docs/shared-machines.md)"
)
_FILE = "histsearch-owner.json"
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Owner:
    """Whose server uses a database folder, or did last.

    Attributes:
        machine: It ran there.
        job: The batch job that it ran in and ended with, in words.
    """

    machine: Machine
    job: str | None

    @classmethod
    def this(cls) -> Self:
        """A server that this process starts."""
        return cls(Machine.this(), batch_job())

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The owner of a database folder; None if no record tells it."""
        try:
            record = json.loads((folder / _FILE).read_text())
            return cls(Machine(**record["machine"]), record["job"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def hold(self, folder: Path, account: Account) -> int:
        """Write this owner's record and lock it.

        Returns:
            The open file, to be handed to the server: it holds the lock.

        Raises:
            BlockingIOError: A server holds it.
            OSError: The folder can't be written.
        """
        with account.acting():
            file = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            lock(file)
            os.ftruncate(file, 0)
            os.write(file, json.dumps(asdict(self)).encode())
            os.fsync(file)
        except OSError:
            os.close(file)
            raise
        return file


def is_held(folder: Path) -> bool:
    """Whether a process of a server still lives, wherever the file system's locks reach."""
    try:
        file = os.open(folder / _FILE, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        lock(file)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _is_from_before_the_boot(folder: Path) -> bool:
    """Whether a server without a record can't be alive any more, in another container say."""
    return (folder / POSTMASTER_FILE).stat().st_mtime < psutil.boot_time()


def release(folder: Path) -> None:
    """Remove the record of a server that was stopped: any host may start the next."""
    (folder / _FILE).unlink(missing_ok=True)


def check(folder: Path) -> None:
    """Make sure that the server of a folder may be started on this machine.

    Raises:
        StorageError: Another host runs it, or did and hasn't stopped it.
    """
    refuse_elsewhere(folder)
    if Postmaster.of(folder) is None:
        return  # stopped, so any host may go on
    last = Owner.of(folder)
    on_network = is_on_network(folder)
    if last is None and not on_network and _is_from_before_the_boot(folder):
        return  # of a version that kept no record
    if last is not None and Machine.this().was(last.machine, on_network=on_network):
        return
    host = last.machine.host if last else "an unknown host"
    raise StorageError(
        f"the embedded PostgreSQL in {folder} was started on {host} and hasn't been stopped; only "
        f"one host may use it: stop it there (histsearch db stop), or, if that server has crashed, "
        f"run histsearch db start --take-over; {COMMON_SERVER}"
    )


def refuse_elsewhere(folder: Path) -> None:
    """Make sure that no server of a folder runs beyond this machine, or this container.

    Raises:
        StorageError: One does.
    """
    last = Owner.of(folder)
    if last is None or not is_held(folder):
        return
    is_ours = Machine.this().was(last.machine, on_network=True)
    if is_ours and wait_until(lambda: not is_held(folder), LAST_PROCESSES_SECONDS):
        return
    raise StorageError(
        f"the embedded PostgreSQL in {folder} runs on {last.machine.host}, and only one host may "
        f"use it: stop it there (histsearch db stop), or {COMMON_SERVER}"
    )


def take_over(folder: Path) -> None:
    """Make sure that no server uses a folder that was left by another host.

    Its lock is free, and where locks may not reach all hosts, its process file is taken away: a
    server that misses it ends.

    Raises:
        StorageError: One does, as its lock shows.
    """
    refuse_elsewhere(folder)
    if is_on_network(folder) and Postmaster.of(folder) is not None:
        (folder / POSTMASTER_FILE).unlink()
        log.warning(
            "waiting %.0f s, in which a server that still runs there would notice and end",
            FENCE_SECONDS,
        )
        time.sleep(FENCE_SECONDS)
        refuse_elsewhere(folder)
    release(folder)


def lock(file: int) -> None:
    """Lock an open file against every other one, as far as its file system can.

    Raises:
        BlockingIOError: Another holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
