"""A digest in a model's file, so that damage to it is noticed.

`torch.save` writes a zip archive. Its SHA-256 becomes the archive's comment: it goes where the file
goes, and torch and every other reader of zip archives pass over it.
"""

import hashlib
import os
import struct
from typing import BinaryIO

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


def with_digest(archive: bytes) -> bytes:
    """Return a zip archive that has no comment with its digest as the comment."""
    without_length = archive[: -_COMMENT_LENGTH.size]
    content = without_length + _COMMENT_LENGTH.pack(_COMMENT_BYTES)
    return content + _LABEL + hashlib.sha256(content).hexdigest().encode()


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
