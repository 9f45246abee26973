"""The index of decoded images that are kept: of which files, and where their pixels lie."""

# 3 = red, green, blue

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from histsearch.file_writing import write_whole

_CHANNELS = 3


class DamagedIndexError(Exception):
    """An index, or a file of pixels that it names, isn't as it was written."""


class Stamp(NamedTuple):
    """What a file is known by until it is written again: its bytes, and when that was."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of a file; the same for all that can't be reached."""
        try:
            status = path.stat()
        except OSError:
            return cls(-1, -1)
        return cls(status.st_size, status.st_mtime_ns)


class Entry(NamedTuple):
    """The kept pixels of one image file.

    Attributes:
        size: Bytes of the image file, as in `Stamp`.
        mtime_ns: When it was written, as in `Stamp`.
        segment: Name of the file that its pixels lie in.
        offset: Where they begin there.
        height: In pixels; 0 where the image couldn't be read, so that none are kept.
        width: In pixels.
        crc: CRC-32 of the (height, width, 3) uint8 pixels.
    """

    size: int
    mtime_ns: int
    segment: str
    offset: int
    height: int
    width: int
    crc: int

    @property
    def stamp(self) -> Stamp:
        """The stamp of the image file when it was read."""
        return Stamp(self.size, self.mtime_ns)

    @property
    def length(self) -> int:
        """Bytes of the pixels."""
        return self.height * self.width * _CHANNELS


@dataclass
class Index:
    """What is kept of the images of a data set in one form.

    Attributes:
        dataset: The data set's name.
        data_dir: The folder of data sets that it was read from.
        segments: Bytes of each file of pixels, by its name.
        entries: What is kept of each image file, by its path.
    """

    dataset: str
    data_dir: str
    segments: dict[str, int] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    def stale(self, paths: Iterable[Path]) -> list[Path]:
        """The files of which nothing is kept, or what they held before."""
        return [
            path
            for path in dict.fromkeys(paths)
            if (entry := self.entries.get(str(path))) is None or entry.stamp != Stamp.of(path)
        ]

    def forget_unused_segments(self) -> None:
        """Leave out the files of pixels in which no entry lies."""
        used = {entry.segment for entry in self.entries.values() if entry.height}
        self.segments = {name: size for name, size in self.segments.items() if name in used}

    def check_segments(self, folder: Path) -> None:
        """Make sure that every file of pixels is there with all its bytes.

        Raises:
            DamagedIndexError: One isn't.
        """
        for name, size in self.segments.items():
            found = Stamp.of(folder / name).size
            if found < 0:
                raise DamagedIndexError(f"{name} is missing")
            if found != size:
                raise DamagedIndexError(f"{name} has {found:,} of {size:,} bytes")

    def write(self, file: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            OSError: It can't be written.
        """
        content = {
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "segments": self.segments,
            "entries": self.entries,
        }
        text = json.dumps(content, separators=(",", ":")).encode("ascii")
        write_whole(file, _digest(text) + b"\n" + text, private=True)

    @classmethod
    def read(cls, file: Path) -> "Index | None":
        """Read an index; None where there is none.

        Raises:
            DamagedIndexError: It isn't as it was written.
            OSError: It can't be read.
        """
        try:
            digest, _, text = file.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if _digest(text) != digest:
            raise DamagedIndexError(f"{file.name} isn't as it was written")
        try:
            return cls._parse(json.loads(text))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DamagedIndexError(f"{file.name} is no index") from error

    @classmethod
    def _parse(cls, content: Any) -> "Index":
        entries = {path: Entry(*fields) for path, fields in content["entries"].items()}
        segments: dict[str, int] = content["segments"]
        for entry in entries.values():
            if entry.height and not 0 <= entry.offset <= segments[entry.segment] - entry.length:
                raise ValueError("an image lies outside its file")
        if any(Path(name).name != name for name in segments):
            raise ValueError("a file lies in another folder")
        return cls(content["dataset"], content["data_dir"], segments, entries)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode("ascii")
