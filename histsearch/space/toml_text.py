"""TOML that people wrote, within limits, so that no file can stop its reader."""

import codecs
import tomllib
from pathlib import Path
from typing import Any

from histsearch.exceptions import SpaceError

LARGEST_FILE = 128 * 2**10
"""Bytes of a TOML file; the spaces that come with histsearch take 2,000 at most."""

# tomllib's memory grows with the square of a key's parts, which dots separate; 500 of them a line
# in a file of that size take 160 MB.
_MOST_DOTS = 500
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; a byte order mark, as Windows writes it, is skipped.

    Raises:
        SpaceError: It can't be read, is too large, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SpaceError(f"can't read {path} ({error.strerror}); give another file") from error
    if len(content) > LARGEST_FILE:
        raise SpaceError(
            f"{path}: found over {LARGEST_FILE // 2**10} KiB, allowed: up to "
            f"{LARGEST_FILE // 2**10} KiB; a range takes less than a long list"
        )
    try:
        return parse_toml(_decoded(content))
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{path}: not a TOML file: {error}") from error
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from error


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16):
        raise SpaceError('found UTF-16, allowed: UTF-8; save the file anew as "UTF-8"')
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpaceError(
            f"not a TOML file: line {line} isn't UTF-8 (byte 0x{content[error.start]:02x}); save "
            'the file anew as "UTF-8"'
        ) from error


def parse_toml(text: str) -> dict[str, Any]:
    """The table that a TOML document holds.

    Raises:
        tomllib.TOMLDecodeError: It is no TOML.
        SpaceError: It is, but goes beyond a limit.
    """
    for number, line in enumerate(text.split("\n"), 1):
        dots = line.count(".")
        if dots > _MOST_DOTS:
            raise SpaceError(
                f"found {dots:,} dots in line {number}, allowed: {_MOST_DOTS}; break a long list "
                "into several lines"
            )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise SpaceError(
            "found hundreds of brackets one within another, allowed: a few; a list of values is "
            "[1, 2]"
        ) from None
    except ValueError as error:  # Python reads no longer one
        raise SpaceError("found a number of thousands of digits, allowed: a few digits") from error
