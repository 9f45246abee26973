"""Which images lie on a device, kept there from one run to the next."""

import logging
from collections.abc import Callable, Hashable, Sequence

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


class ImagesOnDevice:
    """The images of the runs of a process that lie on its device.

    Args:
        device: The device; a CPU's is the process's own memory.
        choice: Whether images are to lie there.
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
        self._placed: list[tuple[FormedImages, DeviceImages]] = []
        self._known_bytes: dict[Hashable, int] = {}
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
        needed = sum(self._num_bytes(one, on_image) for one in sets)
        free, total = _memory(self.device)
        free += sum(images.num_bytes for _, images in self._placed)
        if self._choice is DataOnGpu.always:
            _check_room(needed, free)
            return True
        most = int(min(free, total / self._slots) * _MOST_SHARE)
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
        """Have these images on the device, and no others.

        Args:
            sets: The images.
            processes: Processes that decode those that aren't kept decoded.
            on_image: Called after each image; what it raises ends the work.

        Raises:
            UnreadableImageError: One can't be read.
        """
        self._placed = [
            (mine, images)
            for mine, images in self._placed
            if any(_are_same(mine, one) for one in sets)
        ]
        before = len(self._placed)
        for one in sets:
            if self._found(one) is None:
                self._placed.append((one, placed(one, self.device, processes, on_image)))
        if len(self._placed) > before:
            log.info(
                "%s of images lie on the device, which cuts the training crops",
                size_text(sum(images.num_bytes for _, images in self._placed)),
            )
        return [images for one in sets if (images := self._found(one)) is not None]

    def give_up(self) -> bool:
        """Free the device of images that needn't lie there, for good; whether there were any."""
        if self._choice is not DataOnGpu.auto or not self._placed:
            return False
        self._choice = DataOnGpu.never
        self._placed.clear()
        return True

    def _num_bytes(self, images: FormedImages, on_image: Callable[[], object]) -> int:
        known = None if images.key is None else self._known_bytes.get(images.key)
        if known is None:
            known = _CHANNELS * images.num_pixels(on_image)
            if images.key is not None:
                self._known_bytes[images.key] = known
        return known

    def _found(self, one: FormedImages) -> DeviceImages | None:
        return next((images for mine, images in self._placed if _are_same(mine, one)), None)


def _are_same(one: FormedImages, other: FormedImages) -> bool:
    return one is other or (one.key is not None and one.key == other.key)


def _check_room(needed: int, free: int) -> None:
    if needed > free:
        raise DataError(
            f"found --data-on-gpu always and images of {size_text(needed)}, but "
            f"{size_text(free)} of the device's memory are free: leave it at auto, or lower "
            "image_size_cap in a new study"
        )


def _memory(device: torch.device) -> tuple[int, int]:
    """Bytes of a device's memory that this process may still use, and of all of it."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + idle, total
    memory = psutil.virtual_memory()
    return memory.available, memory.total
