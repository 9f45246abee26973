"""Images that lie on a device, decoded."""

# N = images, P = pixels of all images, H, W = image height and width, 3 = red, green, blue

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from histsearch.data.batches import EvaluationImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import FormedImages

_CHANNELS = 3


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
    device: torch.device,
    processes: int,
    on_image: Callable[[], object],
) -> DeviceImages:
    """Copy images to a device.

    Args:
        images: The images.
        device: The device.
        processes: Processes that decode those that aren't kept decoded.
        on_image: Called after each image; what it raises ends the work.

    Raises:
        UnreadableImageError: If one can't be read.
    """
    pixels_P3 = torch.empty(images.num_pixels(), _CHANNELS, dtype=torch.uint8, device=device)
    sizes: list[tuple[int, int]] = []
    end = 0
    loader = ImageLoader(0 if images.are_kept else processes, pin_memory=False)
    shown = EvaluationImages(images)
    for image_1HW3 in loader.batches(shown, shown.batches(1)):
        _, height, width, _ = image_1HW3.shape
        begin, end = end, end + height * width
        if end > len(pixels_P3):
            # Another package may make something else of a file than it says.
            pixels_P3 = torch.cat([pixels_P3, pixels_P3.new_empty((height * width, _CHANNELS))])
        pixels_P3[begin:end] = image_1HW3.view(-1, _CHANNELS).to(device)
        sizes.append((height, width))
        on_image()
    return DeviceImages(pixels_P3[:end], sizes)
