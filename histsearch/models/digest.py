"""A digest in the file of a model or of a run's state, so that damage to it is noticed.

`torch.save` writes a zip archive. Its SHA-256 becomes the archive's comment: it goes where the file
goes, and torch and every other reader of zip archives pass over it.
"""

import hashlib
import os
import struct
from typing import IO, BinaryIO, cast

import torch

_LABEL = b"histsearch sha256 "
_COMMENT_BYTES = len(_LABEL) + 2 * hashlib.sha256().digest_size

# The end of a zip archive: a record of fixed size, whose last field is the comment's length, and
# the comment.
_END_SIGNATURE = b"PK\x05\x06"
_END_BYTES = 22
_COMMENT_LENGTH = struct.Struct("<H")
_LONGEST_COMMENT = 2**16 - 1

_CHUNK_BYTES = 2**20


class DamagedError(Exception):
    """A file isn't as it was written."""


def save_with_digest(content: object, file: BinaryIO) -> None:
    """Write what `torch.save` makes of a content to a file, with its digest as the comment.

    The bytes go through once, and nowhere in memory lies a copy of them.

    Raises:
        OSError: The file can't be written.
    """
    archive = _DigestedArchive(file)
    torch.save(content, cast("IO[bytes]", archive))  # it asks for no more than write and flush
    archive.finish()


class _DigestedArchive:
    """What torch writes an archive to: all but its last field, the comment's length, is passed on.

    What the file raises is kept until `finish`: torch would hide it behind an error of its own.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._held = b""
        self._fault: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        end = bytes(data[-_COMMENT_LENGTH.size :])
        if len(end) < _COMMENT_LENGTH.size:
            held = self._held + end
            self._pass_on(held[: -_COMMENT_LENGTH.size])
            self._held = held[-_COMMENT_LENGTH.size :]
        else:
            self._pass_on(self._held)
            self._pass_on(data[: -_COMMENT_LENGTH.size])
            self._held = end
        return len(data)

    def flush(self) -> None:
        """Torch asks for it at the archive's end, which is still held."""

    def finish(self) -> None:
        """Write the comment.

        Raises:
            OSError: The file couldn't be written.
        """
        self._pass_on(_COMMENT_LENGTH.pack(_COMMENT_BYTES))
        if self._fault is not None:
            raise self._fault
        self._file.write(_LABEL + self._digest.hexdigest().encode())

    def _pass_on(self, data: bytes | memoryview) -> None:
        if self._fault is not None:
            return
        self._digest.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            self._fault = error


def check_digest(file: BinaryIO) -> bool:
    """Whether a file carries a digest. A file of another format carries none.

    Raises:
        DamagedError: The file isn't what the digest was made of, or the digest is incomplete.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END_BYTES - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(_END_SIGNATURE)
    comment = tail[end + _END_BYTES :] if end >= 0 else b""
    # Either alone would overlook a file whose damage lies in the other.
    if not comment.startswith(_LABEL) and len(comment) != _COMMENT_BYTES:
        return False
    digest = _digest(file, size - len(comment))
    if comment != _LABEL + digest.encode():
        raise DamagedError
    return True


def file_digest(file: BinaryIO) -> str:
    """The SHA-256 of a whole file, in hexadecimal digits."""
    return _digest(file, file.seek(0, os.SEEK_END))


def _digest(file: BinaryIO, size: int) -> str:
    """The SHA-256 of a file's first `size` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(min(_CHUNK_BYTES, size)):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
