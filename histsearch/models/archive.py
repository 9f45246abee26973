"""Zip archives, which is what torch writes."""

import struct
import zipfile
from pathlib import Path

# What a damaged directory of an archive leads to.
_UNREADABLE = (OSError, NotImplementedError, ValueError, struct.error, zipfile.BadZipFile)


def archive_members(path: Path) -> dict[str, int]:
    """Names of an archive's members and their sizes once unpacked; none of any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename: member.file_size for member in archive.infolist()}
    except _UNREADABLE:
        return {}
