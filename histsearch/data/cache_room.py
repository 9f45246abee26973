"""The room that an image cache may take, reserved for each process that fills a part of it."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from histsearch.data.cache_files import NotKeptError, bytes_below, try_lock
from histsearch.sharing import nearest
from histsearch.wording import counted, size_text

_LOCK = "room.lock"
_LARGEST_SHARE = 4  # of the free space new images take one part in so many
_STEPS = 16  # a file that outgrows its reservation gets one part in so many more at once
_GLANCE_SECONDS = 0.01
_STUCK_SECONDS = 30.0  # well under the time after which a worker's watch takes it for hung


class _Left(NamedTuple):
    """What is left for a file in bytes: used by the others, allowed in all, free for it."""

    used: int
    limit: int
    free: int

    @property
    def quarter(self) -> int:
        return self.free // _LARGEST_SHARE

    @property
    def most(self) -> int:
        return min(self.limit - self.used, self.quarter)


class Room:
    """The room of an image cache.

    Args:
        folder: The cache's folder.
        most_bytes: Bytes that all its files may take together.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def check(self, images: int, needed: int) -> None:
        """Make sure that new images fit in; nothing is reserved.

        Args:
            images: Number of images, for people.
            needed: Bytes that they are expected to take.

        Raises:
            NotKeptError: They don't.
            OSError: The folder can't be looked at.
        """
        left = self._left(0)
        what = f"{counted(images, 'image')} would take some {size_text(needed)}"
        if needed > left.limit - left.used:
            raise NotKeptError(
                f"{what}, but of the {size_text(left.limit)} allowed in {self._folder} "
                f"{size_text(left.used)} are used; --image-cache-limit allows more"
            )
        if needed > left.quarter:
            raise NotKeptError(
                f"{what}, more than a quarter of the {size_text(left.free)} that are free in "
                f"{self._folder}; --image-cache names another folder"
            )

    def reserve(self, file: FileIO, images: int, needed: int) -> "Reservation":
        """Give an empty file the room of new images, which counts as used from then on.

        Raises:
            NotKeptError: There isn't so much.
            OSError: The disk has no such room, or no lock can be made.
        """
        reservation = Reservation(self, file)
        with self._alone():
            self.check(images, needed)
            reservation.allocate(needed)
        return reservation

    def extend(self, reservation: "Reservation", size: int) -> None:
        """Give a file more room than it has.

        Raises:
            NotKeptError: There isn't so much.
            OSError: As `reserve`.
        """
        with self._alone():
            most = self._left(reservation.size).most
            if size > most:
                raise NotKeptError(f"they take more than the {size_text(most)} left for them")
            step = reservation.size // _STEPS
            reservation.allocate(min(most, max(size, reservation.size + step)))

    def _left(self, own: int) -> _Left:
        """What is left for a file that has some bytes of its own already."""
        free = shutil.disk_usage(nearest(self._folder)).free
        return _Left(bytes_below(self._folder) - own, self._most_bytes, free + own)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of those who measure and reserve, which takes milliseconds."""
        deadline = time.monotonic() + _STUCK_SECONDS
        while (lock := try_lock(self._folder / _LOCK)) is None:
            if time.monotonic() > deadline:
                raise NotKeptError(
                    f"another process has reserved room in {self._folder} for "
                    f"{_STUCK_SECONDS:.0f} s"
                )
            time.sleep(_GLANCE_SECONDS)
        with lock:
            try:
                yield
            finally:
                with suppress(OSError):  # another user made it
                    (self._folder / _LOCK).unlink()


class Reservation:
    """Room on the disk that a file has, written or not.

    Attributes:
        size: Bytes that it has.
    """

    def __init__(self, room: Room, file: FileIO) -> None:
        self.size = 0
        self._room = room
        self._file = file

    def hold(self, size: int) -> None:
        """Make sure that the file has so many bytes; raises as `Room.extend`."""
        if size > self.size:
            self._room.extend(self, size)

    def allocate(self, size: int) -> None:
        """Take the room up to so many bytes.

        Raises:
            OSError: The disk hasn't so much.
        """
        if size <= self.size:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), self.size, size - self.size)
        else:  # macOS
            os.ftruncate(self._file.fileno(), size)
        self.size = size
