"""Writing files that are complete or not there."""

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from histsearch.sharing import give_to_group, is_shared, sync_folder

# Of others' making, a link or a file in a shared folder, is nothing written to.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a content as `whole_file` does.

    Raises:
        OSError: The folder doesn't exist, can't be written to or is full.
    """
    with whole_file(path, private=private) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write, in place once the block is over, so that nobody reads half of it.

    It is a temporary one beside its place. A file that was there is replaced at once; when writing
    fails, it stays as it was. A file that was written survives a loss of power.

    Args:
        path: Its place.
        private: For this user alone, unless the folder is shared (`histsearch.sharing`).

    Raises:
        OSError: The folder doesn't exist, can't be written to or is full.
    """
    temporary = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(8)}")
    shared = is_shared(path.parent)
    descriptor = os.open(temporary, _NEW_FILE, 0o600 if private and not shared else 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if shared:
                give_to_group(descriptor, path.parent)
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


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
