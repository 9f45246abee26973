"""From an image to a backbone's input: crops of 8 bit, which a device normalises by the batch."""

# N = images, C = channels, H, W = height and width in pixels, 3 = red, green, blue

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from histsearch.models.preprocessing import Preprocessing
from histsearch.models.training_boxes import TrainingBoxes

FULL_BRIGHTNESS = 255.0


class TrainingCrop:
    """Random crops of training images, and whether each is to be mirrored."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._size = [preprocessing.crop, preprocessing.crop]
        self._interpolation = v2.InterpolationMode(preprocessing.interpolation)
        self._boxes = TrainingBoxes(preprocessing)

    def __call__(
        self, image_HW3: npt.NDArray[np.uint8], generator: torch.Generator
    ) -> tuple[Tensor, bool]:
        """Return a (crop, crop, 3) uint8 crop, and whether it is to be mirrored left to right."""
        image_height, image_width = image_HW3.shape[:2]
        top, left, height, width, flipped = self._boxes.draw(image_height, image_width, generator)
        # A copy: what is resized must lie in one piece, and may not be a file's.
        part_HW3 = torch.from_numpy(image_HW3[top : top + height, left : left + width].copy())
        crop_3HW = functional.resize(
            part_HW3.permute(2, 0, 1), self._size, self._interpolation, antialias=True
        )
        return crop_3HW.permute(1, 2, 0).contiguous(), flipped


class EvaluationCrop:
    """The centre of a test image, resized by its shorter side; a form to keep images in."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._resize = preprocessing.resize
        self._side = preprocessing.crop
        self._interpolation = v2.InterpolationMode(preprocessing.interpolation)

    @property
    def name(self) -> str:
        """Of its sizes and its interpolation, which decide the pixels."""
        return f"crop-{self._resize}-{self._side}-{self._interpolation.value}"

    def size(self, width: int, height: int) -> tuple[int, int]:  # noqa: ARG002 - all are alike
        """Width and height of what an image of these becomes."""
        return self._side, self._side

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the (crop, crop) centre of an image in RGB mode."""
        resized = functional.resize(image, [self._resize], self._interpolation)
        cropped: Image.Image = functional.center_crop(resized, [self._side])
        return cropped


class Normalisation:
    """From uint8 pixels to a backbone's input, on the device where the network is.

    Args:
        preprocessing: The channels' order and statistics.
        device: The device.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        # Pixels stay in 0..255 and the statistics are brought to that range: one pass less.
        to_pixels = FULL_BRIGHTNESS / preprocessing.value_range

        def of_channels(values: tuple[float, float, float]) -> Tensor:
            scaled = [value * to_pixels for value in values]
            return torch.tensor(scaled, dtype=torch.float32, device=device).view(3, 1, 1)

        self._device = device
        self._mean_C11 = of_channels(preprocessing.mean)
        self._std_C11 = of_channels(preprocessing.std)
        self._is_reversed = preprocessing.channel_order == "bgr"

    def __call__(self, images_NHW3: Tensor, flipped_N: Tensor | None = None) -> Tensor:
        """Return the (N, 3, H, W) float32 input of a batch on any device.

        Args:
            images_NHW3: (N, H, W, 3) uint8 images.
            flipped_N: (N,) which of them are to be mirrored left to right; None for none.
        """
        pixels_NHW3 = images_NHW3.to(self._device, non_blocking=True)
        pixels_NCHW = pixels_NHW3.permute(0, 3, 1, 2).contiguous()
        if self._is_reversed:
            pixels_NCHW = pixels_NCHW.flip(1)
        if flipped_N is not None:
            pixels_NCHW = _mirrored(pixels_NCHW, flipped_N.to(self._device, non_blocking=True))
        return pixels_NCHW.to(torch.float32).sub_(self._mean_C11).div_(self._std_C11)


def _mirrored(images_NCHW: Tensor, flipped_N: Tensor) -> Tensor:
    """Mirror some images of a batch left to right."""
    # To choose among copies of whole images is several times as fast as torch.where.
    number = len(images_NCHW)
    both_NCHW = torch.cat([images_NCHW, images_NCHW.flip(3)])
    chosen_N = torch.arange(number, device=images_NCHW.device) + number * flipped_N
    return both_NCHW.index_select(0, chosen_N)
