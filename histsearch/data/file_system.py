"""What lies in a data folder: told whole, or refused with a name, never passed over."""

import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from histsearch.exceptions import DataError
from histsearch.folders import composed
from histsearch.wording import shortened

_KINDS = {
    stat.S_IFREG: "a plain file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
FOLDER = _KINDS[stat.S_IFDIR]
PLAIN_FILE = _KINDS[stat.S_IFREG]


class UnreachableError(DataError):
    """What a folder holds, or what lies at a path, can't be told.

    Attributes:
        reason: Why, in words such as "Permission denied".
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


def unreachable(path: Path, error: OSError | ValueError) -> UnreachableError:
    """The error that tells users why the file system refuses a path."""
    # The error of a path that no file can have, such as one with a NUL in it, has no strerror.
    reason = str(getattr(error, "strerror", None) or error)
    return UnreachableError(
        f"{shortened(path)} can't be read ({reason}): grant access to it, mount its disk again, or "
        "correct its name.",
        reason,
    )


def kind_at(path: Path) -> str | None:
    """What lies at a path, links followed: a `PLAIN_FILE`, "a FIFO"; None if nothing does.

    Raises:
        UnreachableError: If that can't be told.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise unreachable(path, error) from error
    return _KINDS.get(stat.S_IFMT(mode), "no file that can be read")


def check_plain(path: Path) -> None:
    """Make sure that a path leads to a plain file, before it is opened.

    To open a FIFO may wait for ever, and a device may do something.

    Raises:
        OSError: If it leads to something else, or that can't be told.
    """
    kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode), "no file that can be read")
    if kind != PLAIN_FILE:
        raise OSError(f"it is {kind}, allowed: plain files")


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Everything in a folder, in the order of the names as they read, composed.

    Raises:
        UnreachableError: If it can't be listed to its end.
    """
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: (composed(entry.name), entry.name))
    except (OSError, ValueError) as error:
        raise unreachable(folder, error) from error


def leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder, or a link to one.

    Raises:
        UnreachableError: If that can't be told, or it is a link that leads nowhere, as one to a
            disk that isn't mounted does.
    """
    try:
        if entry.is_dir():
            return True
        is_link = entry.is_symlink()
    except OSError as error:
        raise unreachable(Path(entry.path), error) from error
    if is_link and kind_at(Path(entry.path)) is None:
        raise UnreachableError(
            f"The link {shortened(entry.path)} leads nowhere: bring back the folder or file that "
            "it stands for, or remove it.",
            "a link that leads nowhere",
        )
    return False


def holds(folder: Path, pattern: str) -> bool:
    """Whether anything in a folder has a path such as ``images/[0-9]*``, with a pattern at its end.

    Raises:
        UnreachableError: If that can't be told.
    """
    *parents, name = PurePosixPath(pattern).parts
    inner = folder.joinpath(*parents)
    if kind_at(inner) != FOLDER:
        return False
    return any(fnmatchcase(entry.name, name) for entry in entries(inner))
