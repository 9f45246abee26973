"""The account that the server runs as, and the places that it reaches.

PostgreSQL refuses to run as root. Root's server runs as an account of its own, and neither that
nor any other user is let into a folder that was closed to them.
"""

import hashlib
import logging
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from histsearch.exceptions import StorageError
from histsearch.folders import HOME_VARIABLE, home, make_home
from histsearch.sharing import user_name

log = logging.getLogger(__name__)

ROOTS_SERVER = "pgserver"
SYSTEM_FOLDER = Path("/var/lib/histsearch")
"""Where root's server has its databases if it can't reach root's own folder."""

_DATABASES = "postgres"
_VERSION = "PG_VERSION"  # a file of every database folder
_OTHERS_CAN_PASS = 0o711


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of_uid(cls, uid: int) -> Self:
        """The account with that number.

        Raises:
            StorageError: It has no name, which PostgreSQL asks for.
        """
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise StorageError(
                f"found user id {uid}, which has no name on this machine, needed: one with a name, "
                "as PostgreSQL asks for it; add it to /etc/passwd, or set HISTSEARCH_STORAGE to a "
                "PostgreSQL of your own"
            ) from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def take(self, made: int | Path) -> None:
        """Make a file or folder that root has made this account's; nothing to do for others."""
        found = made.stat() if isinstance(made, Path) else os.fstat(made)
        is_one_of_several = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
        if os.geteuid() == 0 and not is_one_of_several:
            os.chown(made, self.uid, self.gid)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Work on this account's files with its rights: a link in them leads root nowhere."""
        if os.geteuid() != 0:
            yield
            return
        group, groups = os.getegid(), os.getgroups()
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)

    def reaches(self, folder: Path) -> bool:
        """Whether this account may pass all folders on the way to, and including, ``folder``."""
        return _is_open(folder, self.uid, self.gid)

    def may_read(self, file: Path) -> bool:
        """Whether this account may read a file, or list a folder, that it reaches."""
        found = file.stat()
        return bool(_rights(found, self.uid, self.gid) & stat.S_IROTH)


def database_folder() -> Path:
    """Where the embedded server keeps its databases.

    That is ``postgres`` in the user's histsearch folder. Root's server, if it can't reach that one,
    has a folder of its own in `SYSTEM_FOLDER`, and keeps it.
    """
    folder = home() / _DATABASES
    if os.geteuid() != 0:
        return folder
    digest = hashlib.sha256(os.fsencode(home())).hexdigest()[:8]
    elsewhere = SYSTEM_FOLDER / f"{_DATABASES}-{digest}"
    is_there = (elsewhere / _VERSION).exists() and not (folder / _VERSION).exists()
    return elsewhere if is_there or not _roots_server_reaches(folder) else folder


def server_account(folder: Path) -> Account:
    """The account that runs the server of a database folder.

    Raises:
        StorageError: The folder is another user's, or root can't make an account for it.
    """
    uid = os.geteuid()
    owner = _owner(folder)
    if uid == 0:
        return Account.of_uid(owner) if owner else _roots_server()
    if owner in (uid, None):
        return Account.of_uid(uid)
    assert owner is not None
    raise StorageError(
        f"{folder} belongs to another user ({user_name(owner)}), allowed: one of your own; set "
        f"{HOME_VARIABLE} to a folder of yours, or HISTSEARCH_STORAGE to a PostgreSQL for both"
    )


def make_parent(folder: Path) -> None:
    """Make the folder that holds the database folder.

    Raises:
        StorageError: Databases lie where root's server can't reach them any more.
        OSError: It can't be made.
    """
    left_behind = home() / _DATABASES
    if left_behind != folder and (left_behind / _VERSION).exists():
        raise StorageError(
            f"found databases in {left_behind}, which the account {ROOTS_SERVER} can't reach; run "
            f"mv {left_behind} {folder}, or set {HOME_VARIABLE} to a folder open to it"
        )
    make_home()
    folder.parent.mkdir(mode=_OTHERS_CAN_PASS, parents=True, exist_ok=True)  # if it isn't that one


def _roots_server() -> Account:
    try:
        entry = pwd.getpwnam(ROOTS_SERVER)
    except KeyError:
        _create_roots_server()
        entry = pwd.getpwnam(ROOTS_SERVER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create_roots_server() -> None:
    options = ("--system", "--no-create-home", "--shell", "/usr/sbin/nologin")
    command = ("useradd", *options, ROOTS_SERVER)
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - as above
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise StorageError(
            f"PostgreSQL doesn't run as root, and the account {ROOTS_SERVER} for it can't be "
            f"created ({reason}); create it, run histsearch as another user, or set "
            "HISTSEARCH_STORAGE to a PostgreSQL of your own"
        ) from error
    log.warning(
        "created the system account %s for the embedded PostgreSQL, which doesn't run as root",
        ROOTS_SERVER,
    )


def _roots_server_reaches(folder: Path) -> bool:
    uid = _owner(folder)
    try:
        entry = pwd.getpwuid(uid) if uid else pwd.getpwnam(ROOTS_SERVER)
    except KeyError:  # to be created yet
        return _is_open(folder.parent, None, None)
    return _is_open(folder.parent, entry.pw_uid, entry.pw_gid)


def _is_open(folder: Path, uid: int | None, gid: int | None) -> bool:
    """Whether a user, or anyone if no number is given, may pass a folder and those above it.

    One that isn't there yet is made so that it can be passed.
    """
    for path in (folder, *folder.parents):
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not _rights(found, uid, gid) & stat.S_IXOTH:
            return False
    return True


def _rights(found: os.stat_result, uid: int | None, gid: int | None) -> int:
    """The bits of a mode that hold for a user, as those of others."""
    if found.st_uid == uid:
        return found.st_mode >> 6
    if found.st_gid == gid:
        return found.st_mode >> 3
    return found.st_mode


def _owner(folder: Path) -> int | None:
    try:
        return folder.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return None
