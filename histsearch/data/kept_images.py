"""Decoded images that are kept on disk, as a process reads them."""

# N = images, H, W = image height and width, 2 = height, width, 3 = red, green, blue

import mmap
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histsearch.data.cache_index import Entry

_CHANNELS = 3


class KeptImages:
    """Pixels of the images of a set, in files that are mapped into memory.

    A pickle holds the files' names, so every process maps them for itself.
    """

    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        names = sorted({entry.segment for entry in entries if entry.height})
        place = {name: number for number, name in enumerate(names)}
        self._files = [folder / name for name in names]
        self._segment_N = np.array([place.get(one.segment, -1) for one in entries], np.int32)
        self._offset_N = np.array([one.offset for one in entries], np.int64)
        self._size_N2 = np.array([(one.height, one.width) for one in entries], np.int32)
        self._crc_N = np.array([one.crc for one in entries], np.uint32)
        self._maps: list[mmap.mmap | None] | None = None
        self._opened()

    def __len__(self) -> int:
        return len(self._offset_N)

    def pixels(self, index: int) -> npt.NDArray[np.uint8] | None:
        """The (H, W, 3) pixels of an image; None where they aren't kept, or not any more."""
        height, width = self._size_N2[index].tolist()
        mapped = self._opened()[self._segment_N[index]] if height else None
        if mapped is None:
            return None
        flat = np.frombuffer(
            mapped, np.uint8, height * width * _CHANNELS, int(self._offset_N[index])
        )
        return flat.reshape(height, width, _CHANNELS)

    def damaged(self, on_image: Callable[[], object]) -> int:
        """How many images' pixels differ from those that were written; reads all of them."""
        number = 0
        for index in range(len(self)):
            pixels = self.pixels(index)
            number += pixels is not None and zlib.crc32(pixels.data) != self._crc_N[index]
            on_image()
        return number

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": None}

    def _opened(self) -> list[mmap.mmap | None]:
        if self._maps is None:
            self._maps = [_mapped(file) for file in self._files]
        return self._maps


def _mapped(file: Path) -> mmap.mmap | None:
    """A file mapped into memory; None where it is gone, as after ``data cache clear``."""
    try:
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
