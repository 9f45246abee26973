"""Writing files that are complete or not there."""

import errno
import glob
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one beside it, so that nobody reads half of it.

    A file of that name is replaced at once; when writing fails, it stays as it was. A file that
    was written survives a loss of power.

    Raises:
        OSError: The folder doesn't exist, can't be written to or is full.
    """
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they don't exist; they survive a loss of power.

    Raises:
        OSError: A file is in the way, or a folder can't be written to.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def remove_whole(path: Path) -> None:
    """Remove a file, and what processes that were killed while writing it left beside it.

    Nothing happens where there is none.

    Raises:
        OSError: The folder can't be written to.
    """
    path.unlink(missing_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(_temporary_prefix(path))}*"):
        leftover.unlink(missing_ok=True)


def _temporary_prefix(path: Path) -> str:
    return f".{path.name}."


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems can't do this for a folder; there is nothing more to be done.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
