"""Images that lie on a device, decoded."""

# N = images, P = pixels of all images, B = pixels of the buffer, H, W = image height and width,
# 2 = height, width, 3 = red, green, blue

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import FormedImages

_CHANNELS = 3
_BUFFER_PIXELS = 2**23
_IMAGES_OF_A_PIECE = 16


class DeviceImages:
    """Images on a device, one after another.

    Attributes:
        pixels_P3: (P, 3) uint8 pixels of all images, row by row.
        firsts: The place of each image's first pixel.
        sizes: Height and width of each.
    """

    def __init__(self, pixels_P3: Tensor, sizes: list[tuple[int, int]]) -> None:
        self.pixels_P3 = pixels_P3
        self.sizes = sizes
        self.firsts: list[int] = []
        end = 0
        for height, width in sizes:
            self.firsts.append(end)
            end += height * width

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def num_bytes(self) -> int:
        """What they take."""
        return self.pixels_P3.nbytes

    def batches(self, size: int) -> Iterator[Tensor]:
        """(n, H, W, 3) batches of images that are all of one size, in order; no copies."""
        [(height, width)] = set(self.sizes)
        yield from torch.split(self.pixels_P3.view(-1, height, width, _CHANNELS), size)


def placed(
    images: FormedImages,
    num_pixels: int,
    device: torch.device,
    processes: int,
    on_image: Callable[[], object],
) -> DeviceImages:
    """Copy images to a device.

    Args:
        images: The images.
        num_pixels: Pixels of all together, as far as that is known.
        device: The device.
        processes: Processes that decode those that must be; with 0 this one does.
        on_image: Called after each image; what it raises ends the work.

    Raises:
        UnreadableImageError: If one can't be read.
    """
    gathered = _Gathered(num_pixels, device)
    sizes: list[tuple[int, int]] = []
    at_hand = images.are_decoded or processes == 0
    for pixels_P3, height, width in _one_by_one(images) if at_hand else _loaded(images, processes):
        gathered.add(pixels_P3)
        sizes.append((height, width))
        on_image()
    return DeviceImages(gathered.on_device(), sizes)


_Flat = tuple[npt.NDArray[np.uint8], int, int]
"""The (P, 3) pixels of an image, its height and its width."""


def _one_by_one(images: FormedImages) -> Iterator[_Flat]:
    for index in range(len(images)):
        pixels_HW3 = images[index]
        height, width, _ = pixels_HW3.shape
        yield pixels_HW3.reshape(-1, _CHANNELS), height, width


def _loaded(images: FormedImages, processes: int) -> Iterator[_Flat]:
    """The same from processes, several at once."""
    starts = range(0, len(images), _IMAGES_OF_A_PIECE)
    keys = ([(start, min(start + _IMAGES_OF_A_PIECE, len(images)))] for start in starts)
    for pixels_1P3, sizes_1N2 in ImageLoader(processes, pin_memory=False).batches(
        _Pieces(images), keys
    ):
        end = 0
        for height, width in sizes_1N2[0].tolist():
            begin, end = end, end + height * width
            yield pixels_1P3[0, begin:end].numpy(), height, width


class _Pieces(Dataset[tuple[Tensor, Tensor]]):
    """Images from one index up to another, flat: their (P, 3) pixels and (N, 2) sizes."""

    def __init__(self, images: FormedImages) -> None:
        self._images = images

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        found = [self._images[index] for index in range(*key)]
        pixels_P3 = np.concatenate([pixels_HW3.reshape(-1, _CHANNELS) for pixels_HW3 in found])
        return torch.from_numpy(pixels_P3), torch.tensor([one.shape[:2] for one in found])


class _Gathered:
    """Pixels that are gathered on the host and copied to a device a buffer at a time.

    Args:
        num_pixels: How many there are, as far as that is known.
        device: The device.
    """

    def __init__(self, num_pixels: int, device: torch.device) -> None:
        self._device = device
        self._pixels_P3 = torch.empty(num_pixels, _CHANNELS, dtype=torch.uint8, device=device)
        self._end = 0
        self._buffer_B3 = torch.empty(
            max(1, min(num_pixels, _BUFFER_PIXELS)),
            _CHANNELS,
            dtype=torch.uint8,
            pin_memory=device.type == "cuda",
        )
        self._filled = 0
        # Another package may make something else of a file than it says.
        self._without_place: list[Tensor] = []

    def add(self, pixels_P3: npt.NDArray[np.uint8]) -> None:
        """Add pixels after the others."""
        while len(pixels_P3):
            begin = self._filled
            part, pixels_P3 = np.split(pixels_P3, [len(self._buffer_B3) - begin])
            self._filled += len(part)
            self._buffer_B3.numpy()[begin : self._filled] = part
            if self._filled == len(self._buffer_B3):
                self._empty_buffer()

    def on_device(self) -> Tensor:
        """(P, 3) all of them, on the device."""
        self._empty_buffer()
        if not self._without_place:
            return self._pixels_P3[: self._end]
        # By way of the host, so that the device never holds them twice.
        pixels_P3 = torch.cat([self._pixels_P3[: self._end].cpu(), *self._without_place])
        del self._pixels_P3, self._without_place
        return pixels_P3.to(self._device)

    def _empty_buffer(self) -> None:
        filled_P3 = self._buffer_B3[: self._filled]
        end = self._end + self._filled
        if self._without_place or end > len(self._pixels_P3):
            self._without_place.append(filled_P3.clone())
        else:
            self._pixels_P3[self._end : end].copy_(filled_P3)
            self._end = end
        self._filled = 0
