"""What is kept of one data set in one form: found, made, replaced where it is damaged."""

# H, W = image height and width

import logging
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from histsearch.data.cache_files import (
    NotKeptError,
    check_owner,
    create,
    files_of,
    refusals,
    try_lock,
)
from histsearch.data.cache_index import DamagedIndexError, Entry, Index, Stamp
from histsearch.data.cache_room import Room
from histsearch.data.decoding import UnreadableImageError, decode, of_each_file
from histsearch.data.image_forms import ImageForm
from histsearch.data.kept_images import KeptImages
from histsearch.data.pixels import ToRGB
from histsearch.sharing import make_folder
from histsearch.wording import size_text

log = logging.getLogger(__name__)

_CHANNELS = 3
_SAMPLES = 256
_GLANCE_SECONDS = 0.2
_STUCK_SECONDS = 30.0  # well under the time after which a worker's watch takes it for hung


class _Formed(NamedTuple):
    """A decoded image, or what is known of a file that can't be read.

    Attributes:
        stamp: Of the file, before it was read.
        size: (H, W), with H = 0 for none.
        pixels: Its H · W · 3 bytes.
    """

    stamp: Stamp
    size: tuple[int, int] = (0, 0)
    pixels: bytes = b""


def _formed(path: Path, to_rgb: ToRGB, form: ImageForm) -> _Formed:
    stamp = Stamp.of(path)
    try:
        image = form(decode(path, to_rgb))
    except UnreadableImageError:
        return _Formed(stamp)
    return _Formed(stamp, (image.height, image.width), image.tobytes())


class Store:
    """What is kept of one data set in one form.

    Args:
        folder: The data set's folder, in that of the cache.
        most_bytes: Bytes that the whole cache may hold.
        empty: Its index before anything is kept.
        to_rgb: How an opened file becomes an image in RGB mode.
        form: The form.
    """

    def __init__(
        self, folder: Path, most_bytes: int, empty: Index, to_rgb: ToRGB, form: ImageForm
    ) -> None:
        self._folder = folder
        self._room = Room(folder.parent, most_bytes)
        self._empty = empty
        self._to_rgb = to_rgb
        self._form = form
        self._index_file = folder / f"{form.name}.index"

    def read(self) -> Index:
        """Its index as it stands; an empty one where there is none to be used."""
        try:
            return self._read() or self._empty
        except (DamagedIndexError, OSError):
            return self._empty

    def find(self, paths: Sequence[Path]) -> KeptImages | None:
        """The images of these files; None where one isn't kept as it is now.

        Raises:
            NotKeptError: The cache's folder is another user's.
        """
        with refusals(self._folder.parent):
            check_owner(self._folder.parent)
            check_owner(self._folder)
        index = self.read()
        return None if index.stale(paths) else self._images(index, paths)

    def add(
        self, paths: Sequence[Path], processes: int, on_image: Callable[[], object]
    ) -> KeptImages:
        """Keep those of these files that aren't kept, or wait for the process that does.

        Raises:
            NotKeptError: They can't be kept.
        """
        with refusals(self._folder.parent):
            make_folder(self._folder, private=True)
            check_owner(self._folder.parent)
            check_owner(self._folder)
        with self._held(on_image):
            index = self._whole_index()
            stale = index.stale(paths)
            if stale:
                with refusals(self._folder):
                    self._sweep(index)
                index = self._extended(index, stale, processes, on_image)
            return self._images(index, paths)

    def check_room(self, paths: Sequence[Path]) -> None:
        """Make sure that there is room for the images of these files; nothing is made.

        Raises:
            NotKeptError: There isn't.
        """
        with refusals(self._folder.parent):
            self._room.check(len(paths), self._expected_bytes(paths))

    def _read(self) -> Index | None:
        index = Index.read(self._index_file)
        if index is not None:
            index.check_segments(self._folder)
        return index

    def _whole_index(self) -> Index:
        """The index; an empty one in place of one that is damaged. The lock is held."""
        try:
            with refusals(self._folder):
                return self._read() or self._empty
        except DamagedIndexError as damage:
            log.warning(
                "%s: its decoded images (%s) are damaged (%s) and are made anew",
                self._empty.dataset,
                self._form.name,
                damage,
            )
            return self._empty

    def _images(self, index: Index, paths: Sequence[Path]) -> KeptImages:
        entries = [index.entries[str(path)] for path in paths]
        return KeptImages(self._empty.dataset, self._folder, entries)

    @contextmanager
    def _held(self, on_image: Callable[[], object]) -> Iterator[None]:
        """Hold the lock of those who keep images here, waiting while another process is at work."""
        with refusals(self._folder):
            lock = try_lock(self._folder / f"{self._form.name}.lock")
        if lock is None:
            log.info(
                "%s: waiting for another process that keeps its decoded images (%s)",
                self._empty.dataset,
                self._form.name,
            )
            lock = self._lock_after_another(on_image)
        with lock:
            yield

    def _lock_after_another(self, on_image: Callable[[], object]) -> BinaryIO:
        before: list[Stamp] = []
        since = time.monotonic()
        while True:
            with refusals(self._folder):
                lock = try_lock(self._folder / f"{self._form.name}.lock")
                # A file has its whole room from the start, so its size alone tells nothing.
                stamps = [
                    Stamp.of(file) for file in sorted(files_of(self._folder, self._form.name))
                ]
            if lock is not None:
                return lock
            if stamps != before:
                before, since = stamps, time.monotonic()
                on_image()
            elif time.monotonic() - since > _STUCK_SECONDS:
                raise NotKeptError(
                    f"the process that keeps them has written nothing for {_STUCK_SECONDS:.0f} s"
                )
            time.sleep(_GLANCE_SECONDS)

    def _sweep(self, index: Index) -> None:
        """Remove what processes that were killed left behind, and pixels that no entry needs."""
        for file in files_of(self._folder, self._form.name):
            if file.name not in index.segments and file.suffix not in (".index", ".lock"):
                file.unlink(missing_ok=True)

    def _expected_bytes(self, paths: Sequence[Path]) -> int:
        sample = [paths[i * len(paths) // _SAMPLES] for i in range(_SAMPLES)]
        sizes = [_bytes_of(path, self._form) for path in dict.fromkeys(sample)]
        return len(paths) * sum(sizes) // len(sizes)

    def _extended(
        self,
        index: Index,
        paths: Sequence[Path],
        processes: int,
        on_image: Callable[[], object],
    ) -> Index:
        """The index with a new segment that holds these files' images, on the disk already."""
        name = f"{self._form.name}.{secrets.token_hex(8)}.pixels"
        try:
            entries = self._write_segment(name, paths, processes, on_image)
            length = sum(entry.length for entry in entries)
            extended = Index(
                self._empty.dataset,
                self._empty.data_dir,
                {**index.segments, name: length},
                {**index.entries, **dict(zip(map(str, paths), entries, strict=True))},
            )
            extended.forget_unused_segments()
            with refusals(self._folder):
                extended.write(self._index_file)
        except BaseException:
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
            raise
        with refusals(self._folder):
            self._sweep(extended)
        return extended

    def _write_segment(
        self,
        name: str,
        paths: Sequence[Path],
        processes: int,
        on_image: Callable[[], object],
    ) -> list[Entry]:
        entries: list[Entry] = []
        offset = 0
        needed = self._expected_bytes(paths)
        with refusals(self._folder):
            file = create(self._folder / name)
        with file:
            with refusals(self._folder):
                reservation = self._room.reserve(file, len(paths), needed)
            log.info(
                "%s: keeping decoded images (%s), some %s in %s",
                self._empty.dataset,
                self._form.name,
                size_text(needed),
                self._folder,
            )
            formed = partial(_formed, to_rgb=self._to_rgb, form=self._form)
            for one in of_each_file(formed, paths, processes):
                crc = zlib.crc32(one.pixels)
                entries.append(Entry(*one.stamp, name, offset, *one.size, crc))
                offset += len(one.pixels)
                with refusals(self._folder):
                    reservation.hold(offset)
                    _write(file, one.pixels)
                on_image()
            with refusals(self._folder):
                file.truncate(offset)
                os.fsync(file.fileno())
        return entries


def _write(file: FileIO, pixels: bytes) -> None:
    left = memoryview(pixels)
    while left:
        left = left[file.write(left) :]


def _bytes_of(path: Path, form: ImageForm) -> int:
    """Bytes that an image will take, by what its file says of its size."""
    try:
        with Image.open(path) as image:
            width, height = form.size(*image.size)
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError):
        return 0
    return width * height * _CHANNELS
