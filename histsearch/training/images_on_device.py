"""Which images lie on a device, kept there from one run to the next."""

import logging
from collections.abc import Callable, Collection, Hashable, Sequence

import psutil
import torch

from histsearch.data.device_images import DeviceImages, placed
from histsearch.data.image_set import FormedImages
from histsearch.exceptions import DataError
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.wording import size_text

log = logging.getLogger(__name__)

_CHANNELS = 3
_MOST_SHARE = 1 / 4  # the rest is for training


class NoRoomError(Exception):
    """A run that began with images on the device can't go on here, where they don't fit."""


class ImagesOnDevice:
    """The images of the runs of a process that lie on its device.

    Args:
        device: The device; a CPU's is the process's own memory.
        choice: Whether those of a run that begins are to lie there.
        slots: How many processes share the device; each holds images of its own.

    Attributes:
        device: The device.
    """

    def __init__(
        self, device: torch.device, choice: DataOnGpu = DataOnGpu.never, slots: int = 1
    ) -> None:
        self.device = device
        self._choice = choice
        self._slots = slots
        # By their keys, those used last at the end.
        self._placed: dict[Hashable, DeviceImages] = {}
        self._has_failed_to_place = False
        self._known_pixels: dict[Hashable, int] = {}
        self._told: set[int] = set()

    def are_wanted(self, sets: Sequence[FormedImages], on_image: Callable[[], object]) -> bool:
        """Whether images are to lie on the device in a run that begins.

        By itself that is where they take at most a quarter of the memory that is free there, and
        of the process's part of it.

        Args:
            sets: The images.
            on_image: Called after each image whose size was looked for; what it raises ends the
                work.

        Raises:
            DataError: They must, and can't.
            UnreadableImageError: The size of one can't be read.
        """
        if self._choice is DataOnGpu.never:
            return False
        if self._choice is DataOnGpu.auto and self.device.type != "cuda":
            return False
        needed = self._num_bytes(sets, on_image)
        if self._choice is DataOnGpu.always:
            self._check_room(needed)
            return True
        most = self._most_bytes
        if needed > most and needed not in self._told:
            self._told.add(needed)
            log.info(
                "the images take %s, more than the %s of the device's memory that is left to them: "
                "loader processes cut the training crops",
                size_text(needed),
                size_text(most),
            )
        return needed <= most

    def place(
        self, sets: Sequence[FormedImages], processes: int, on_image: Callable[[], object]
    ) -> list[DeviceImages]:
        """Have these images on the device, and others that lie there while there is room for both.

        All together then take what images may take by themselves; of the others those that were
        used last stay.

        Args:
            sets: The images.
            processes: Processes that decode those that must be.
            on_image: Called after each image; what it raises ends the work.

        Raises:
            NoRoomError: They don't fit.
            DataError: The same where they must lie there.
            UnreadableImageError: One can't be read.
        """
        needed = self._num_bytes(sets, on_image)
        self._check_room(needed)
        wanted = {one.key: one for one in sets}
        missing = wanted.keys() - self._placed.keys()
        if missing:
            self._make_room(wanted.keys(), self._most_bytes - needed)
        for key, one in wanted.items():
            if key in missing:
                self._placed[key] = self._copied(one, processes, on_image)
            else:  # put in again, it is the one used last
                self._placed[key] = self._placed.pop(key)
        if missing:
            log.info(
                "%s of images lie on the device, which cuts the training crops",
                size_text(self._placed_bytes),
            )
        return [self._placed[one.key] for one in sets]

    def give_up(self) -> bool:
        """Free the device of images that needn't lie there; whether there were any.

        Those of runs that begin lie there no more.
        """
        if self._choice is DataOnGpu.always or not (self._placed or self._has_failed_to_place):
            return False
        self._choice = DataOnGpu.never
        self._has_failed_to_place = False
        self._placed.clear()
        return True

    def _make_room(self, wanted: Collection[Hashable], most_others: int) -> None:
        """Free the device of others until these take no more than so many bytes."""
        others = [key for key in self._placed if key not in wanted]
        while others and sum(self._placed[key].num_bytes for key in others) > most_others:
            del self._placed[others.pop(0)]
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _copied(
        self, one: FormedImages, processes: int, on_image: Callable[[], object]
    ) -> DeviceImages:
        num_pixels = self._num_pixels(one, on_image)
        try:
            return placed(one, num_pixels, self.device, processes, on_image)
        except RuntimeError:
            self._has_failed_to_place = True
            raise

    def _check_room(self, needed: int) -> None:
        free, _ = self._memory()
        if needed <= free:
            return
        if self._choice is not DataOnGpu.always:
            raise NoRoomError(
                f"{size_text(needed)} of images don't fit into the {size_text(free)} of the "
                "device's memory that are free"
            )
        raise DataError(
            f"found --data-on-gpu always and images of {size_text(needed)}, but "
            f"{size_text(free)} of the device's memory are free: leave it at auto, or lower "
            "image_size_cap in a new study"
        )

    @property
    def _placed_bytes(self) -> int:
        return sum(images.num_bytes for images in self._placed.values())

    @property
    def _most_bytes(self) -> int:
        """What images may take by themselves."""
        free, total = self._memory()
        return int(min(free, total / self._slots) * _MOST_SHARE)

    def _memory(self) -> tuple[int, int]:
        """Bytes of the device's memory that are free or hold images, and of all of it."""
        free, total = _memory(self.device)
        return free + self._placed_bytes, total

    def _num_bytes(self, sets: Sequence[FormedImages], on_image: Callable[[], object]) -> int:
        each = {one.key: self._num_pixels(one, on_image) for one in sets}
        return _CHANNELS * sum(each.values())

    def _num_pixels(self, images: FormedImages, on_image: Callable[[], object]) -> int:
        known = self._known_pixels.get(images.key)
        if known is None:
            known = self._known_pixels[images.key] = images.num_pixels(on_image)
        return known


def _memory(device: torch.device) -> tuple[int, int]:
    """Bytes of a device's memory that this process may still use, and of all of it."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + idle, total
    memory = psutil.virtual_memory()
    return memory.available, memory.total
