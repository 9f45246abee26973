"""Writing files that are complete or not there."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one beside it, so that nobody reads half of it.

    A file of that name is replaced at once; when writing fails, it stays as it was.

    Raises:
        OSError: The folder doesn't exist, can't be written to or is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
