"""Decoded images that are kept on disk, as a process reads them."""

# N = images, H, W = image height and width, 2 = height, width, 3 = red, green, blue

import logging
import mmap
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histsearch.data.cache_index import Entry

log = logging.getLogger(__name__)

_CHANNELS = 3


class KeptImages:
    """Pixels of the images of a set, in files that are mapped into memory.

    An image is checked against its CRC-32 when it is read for the first time; from then on it is
    taken as it is. A pickle holds the files' names, so every process maps them for itself.

    Args:
        dataset: The data set's name.
        folder: Where the files of pixels lie.
        entries: Where the pixels of each image lie there.
    """

    def __init__(self, dataset: str, folder: Path, entries: Sequence[Entry]) -> None:
        self._dataset = dataset
        names = sorted({entry.segment for entry in entries if entry.height})
        place = {name: number for number, name in enumerate(names)}
        self._files = [folder / name for name in names]
        self._segment_N = np.array([place.get(one.segment, -1) for one in entries], np.int32)
        self._offset_N = np.array([one.offset for one in entries], np.int64)
        self._size_N2 = np.array([(one.height, one.width) for one in entries], np.int32)
        self._crc_N = np.array([one.crc for one in entries], np.uint32)
        self._is_whole_N = np.zeros(len(entries), np.bool_)
        self._is_damaged_N = np.zeros(len(entries), np.bool_)
        self._maps: list[mmap.mmap | None] | None = None
        self._opened()

    def __len__(self) -> int:
        return len(self._offset_N)

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height of an image, which isn't read for that; None where it isn't kept."""
        height, width = self._size_N2[index].tolist()
        return (width, height) if height and not self._is_damaged_N[index] else None

    def pixels(self, index: int) -> npt.NDArray[np.uint8] | None:
        """The (H, W, 3) pixels of an image; None where they aren't kept, any more or undamaged."""
        if self._is_damaged_N[index]:
            return None
        pixels_HW3 = self._as_they_lie(index)
        if pixels_HW3 is None or self._is_whole_N[index]:
            return pixels_HW3
        if not self._is_as_written(index, pixels_HW3):
            self._leave_out(index)
            return None
        self._is_whole_N[index] = True
        return pixels_HW3

    def damaged(self, on_image: Callable[[], object]) -> int:
        """How many images' pixels differ from those that were written; reads all of them."""
        number = 0
        for index in range(len(self)):
            pixels_HW3 = self._as_they_lie(index)
            number += pixels_HW3 is not None and not self._is_as_written(index, pixels_HW3)
            on_image()
        return number

    def _as_they_lie(self, index: int) -> npt.NDArray[np.uint8] | None:
        height, width = self._size_N2[index].tolist()
        mapped = self._opened()[self._segment_N[index]] if height else None
        if mapped is None:
            return None
        flat = np.frombuffer(
            mapped, np.uint8, height * width * _CHANNELS, int(self._offset_N[index])
        )
        return flat.reshape(height, width, _CHANNELS)

    def _is_as_written(self, index: int, pixels_HW3: npt.NDArray[np.uint8]) -> bool:
        return zlib.crc32(pixels_HW3.data) == int(self._crc_N[index])

    def _leave_out(self, index: int) -> None:
        if not self._is_damaged_N.any():
            log.warning(
                "%s: found decoded images in %s that aren't as they were written; each is decoded "
                "whenever it is needed, until histsearch data cache clear %s removes them",
                self._dataset,
                self._files[self._segment_N[index]].parent,
                self._dataset,
            )
        self._is_damaged_N[index] = True

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
