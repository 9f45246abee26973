"""The files of an image cache: their names, folders and locks, and what a file system refuses."""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from histsearch.data.cache_index import Stamp
from histsearch.sharing import barrier_to, give_to_group, is_shared, user_name

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = re.compile(
    r"(?P<form>[a-z0-9-]+)\.(index|lock|[0-9a-f]{16}\.pixels)|\.(?P<new>[a-z0-9-]+)\.index\.[0-9a-f]+"
)


class NotKeptError(Exception):
    """Decoded images can't be kept; its message is the reason."""


@contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """Turn what a file system refuses into a reason."""
    try:
        yield
    except OSError as error:
        barrier = None
        if isinstance(error, PermissionError):
            barrier = barrier_to(Path(str(error.filename or folder)), writing=True)
        where = error.filename or folder
        raise NotKeptError(str(barrier or f"{error.strerror}: {where}")) from error


def check_owner(folder: Path) -> None:
    """Make sure that nobody has put a cache's folder in the place of this user's, where all may.

    Raises:
        NotKeptError: Another user has, or somebody a link.
        OSError: The folder can't be looked at.
    """
    try:
        status, above = folder.lstat(), folder.parent.stat().st_mode
    except FileNotFoundError:
        return
    is_everybodys = above & stat.S_IWOTH and above & stat.S_ISVTX
    if is_everybodys and (stat.S_ISLNK(status.st_mode) or status.st_uid != os.geteuid()):
        raise NotKeptError(
            f"{folder} is {user_name(status.st_uid)}'s; --image-cache names another folder"
        )


def create(file: Path) -> FileIO:
    """Open a new file without a buffer, which is its user's alone outside shared folders.

    Raises:
        OSError: It can't be made.
    """
    shared = is_shared(file.parent)
    descriptor = os.open(file, _NEW_FILE, 0o666 if shared else 0o600)
    if shared:
        give_to_group(descriptor, file.parent)
    return FileIO(descriptor, "wb")


def try_lock(file: Path) -> BinaryIO | None:
    """Hold a lock until it is closed, or the process ends; None where another process holds it.

    Raises:
        OSError: The file can't be made or opened.
    """
    mode = 0o666 if is_shared(file.parent) else 0o600
    while True:
        lock = os.fdopen(_open_lock(file, mode), "rb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                return lock
        lock.close()  # whoever held it before has removed it


def _open_lock(file: Path, mode: int) -> int:
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(file, os.O_RDWR | flags, mode)  # a lock on NFS needs the right to write
    except PermissionError:
        return os.open(file, os.O_RDONLY | flags, mode)


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and those in it."""
    files = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sum(max(0, Stamp.of(file).size) for file in files)


def dataset_folder(folder: Path, dataset: str, digest: str) -> Path:
    """The folder of a data set in that of a cache.

    Args:
        folder: The cache's folder.
        dataset: The data set's name.
        digest: At least 8 hexadecimal digits that tell it from others of that name.
    """
    return folder / f"{slug_of(dataset)}-{digest[:8]}"


def slug_of(dataset: str) -> str:
    """A data set's name as it stands in the name of its folder."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", dataset).strip("-")[:40]


def slug_in(place: Path) -> str:
    """The same, read from the name of its folder."""
    return place.name.rpartition("-")[0]


def dataset_folders(folder: Path) -> list[Path]:
    """The folders of data sets in that of a cache.

    Raises:
        OSError: It can't be listed.
    """
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if re.search(r"-[0-9a-f]{8}$", one.name))


def forms_in(place: Path) -> list[str]:
    """The names of the forms of which a data set's folder holds files."""
    return sorted({form for _, form in _ours(place)})


def files_of(place: Path, form: str) -> list[Path]:
    """The files of a form in a data set's folder, those included that are just being written."""
    return [file for file, its_form in _ours(place) if its_form == form]


def _ours(place: Path) -> list[tuple[Path, str]]:
    files = list(place.iterdir()) if place.is_dir() else []
    matches = [(file, _OURS.fullmatch(file.name)) for file in files]
    return [(file, match["form"] or match["new"]) for file, match in matches if match]
