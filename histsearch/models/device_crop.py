"""Training crops of a batch, cut and resized where its images lie, by two matrix products an image.

The weights are those of torch's antialiased resizing of 8-bit images on a CPU, whole numbers that
float32 holds and sums without rounding where an image is scaled down by less than four; and as
there, the result of the first product is rounded to 8 bit. So the crops are those of
`models.transforms.TrainingCrop`, up to a level of 255 where it rounds otherwise.
"""

# N = images, P = pixels of all images, S = side of a crop, H, W = height and width of the largest
# box, L = the longer or shorter of these, 3 = red, green, blue

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from histsearch.models.preprocessing import Preprocessing
from histsearch.models.training_boxes import TrainingBox

_BRIGHTEST = 255

# Pixels that are resized at once, which take some fifty bytes each meanwhile.
_PIXELS_AT_ONCE = 2**22

_REACHES = {"bilinear": 1.0, "bicubic": 2.0}  # of a filter, in pixels of the smaller image
_CUBIC = -0.5  # Pillow's, and torch's where it antialiases
_MOST_BITS = 22
_LARGEST_WEIGHT = 2**15 - 0.5


class PlacedBox(NamedTuple):
    """A box of an image that lies among others.

    Attributes:
        first: The place of the image's first pixel among those of all images.
        image_width: The image's width, in pixels.
        box: The part of it.
    """

    first: int
    image_width: int
    box: TrainingBox


class DeviceCrop:
    """Cuts training crops of images that lie on a device, one after another."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._side = preprocessing.crop
        self._interpolation = preprocessing.interpolation

    def __call__(self, pixels_P3: Tensor, boxes: Sequence[PlacedBox]) -> Tensor:
        """Return the (N, S, S, 3) uint8 crops of boxes, not mirrored; the host doesn't wait.

        Args:
            pixels_P3: (P, 3) uint8 pixels of the images, row by row.
            boxes: N boxes of them.
        """
        return torch.cat([self._cut(pixels_P3, part) for part in _parts(boxes)])

    def _cut(self, pixels_P3: Tensor, boxes: Sequence[PlacedBox]) -> Tensor:
        height = max(one.box.height for one in boxes)
        width = max(one.box.width for one in boxes)
        first_N, stride_N, height_N, width_N = _to_device(boxes, pixels_P3.device)
        # Beyond a smaller box its last row and column are repeated; their weights are 0.
        rows_NH = torch.minimum(_count(height, pixels_P3), height_N[:, None] - 1)
        columns_NW = torch.minimum(_count(width, pixels_P3), width_N[:, None] - 1)
        starts_NH = first_N[:, None] + rows_NH * stride_N[:, None]
        places_NWH = columns_NW[:, :, None] + starts_NH[:, None, :]
        part_NWH3 = pixels_P3.index_select(0, places_NWH.flatten())
        across_NSH = self._resized(part_NWH3.view(len(boxes), width, height * 3), width_N)
        part_NHS3 = across_NSH.view(len(boxes), self._side, height, 3).transpose(1, 2)
        crops_NSS = self._resized(part_NHS3.reshape(len(boxes), height, -1), height_N)
        return crops_NSS.view(len(boxes), self._side, self._side, 3)

    def _resized(self, part_NLX: Tensor, size_N: Tensor) -> Tensor:
        """Resize along the first axis, of which the first ``size_N`` places count."""
        weights_NSL, bits_N = _weights(size_N, part_NLX.shape[1], self._side, self._interpolation)
        sums_NSX = torch.bmm(weights_NSL, part_NLX.to(torch.float32))
        scale_N11 = torch.exp2(-bits_N.to(torch.float32))[:, None, None]
        return sums_NSX.mul_(scale_N11).add_(0.5).floor_().clamp_(0, _BRIGHTEST).to(torch.uint8)


def _parts(boxes: Sequence[PlacedBox]) -> list[Sequence[PlacedBox]]:
    """Boxes in their order, as many at once as memory is meant for."""
    parts: list[Sequence[PlacedBox]] = []
    begin = height = width = 0
    for at, (_, _, box) in enumerate(boxes):
        height, width = max(height, box.height), max(width, box.width)
        if at > begin and (at + 1 - begin) * height * width > _PIXELS_AT_ONCE:
            parts.append(boxes[begin:at])
            begin, height, width = at, box.height, box.width
    return [*parts, boxes[begin:]]


def _to_device(boxes: Sequence[PlacedBox], device: torch.device) -> tuple[Tensor, ...]:
    """First pixel of each box, width of its image, its height and its width, (N,) each."""
    numbers_N4 = torch.tensor(
        [
            (first + box.top * image_width + box.left, image_width, box.height, box.width)
            for first, image_width, box in boxes
        ]
    )
    if device.type == "cuda":
        numbers_N4 = numbers_N4.pin_memory()
    return numbers_N4.to(device, non_blocking=True).unbind(1)


def _count(end: int, like: Tensor) -> Tensor:
    return torch.arange(end, device=like.device)


def _weights(size_N: Tensor, length: int, side: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """The weights that an image's rows, or columns, have in those of its resized one.

    They are computed in float64, as torch does
    (``aten/src/ATen/native/cpu/UpSampleKernel.cpp``, ``compute_index_ranges_int16_weights``).

    Args:
        size_N: (N,) rows of each image.
        length: Rows of the largest.
        side: Rows of the resized ones.
        interpolation: "bilinear" or "bicubic".

    Returns:
        (N, side, length) whole numbers as float32, and the (N,) bits that they are shifted by: a
        weight is its number times 2 to the minus bits.
    """
    size_N11 = size_N[:, None, None].to(torch.float64)
    scale_N11 = size_N11 / side
    stretch_N11 = scale_N11.clamp(min=1.0)
    centre_NS1 = scale_N11 * (_count(side, size_N)[:, None] + 0.5)
    reach_N11 = _REACHES[interpolation] * stretch_N11
    begin_NS1 = (centre_NS1 - reach_N11 + 0.5).trunc().clamp(min=0)
    end_NS1 = torch.minimum((centre_NS1 + reach_N11 + 0.5).trunc(), size_N11)
    place_L = _count(length, size_N)
    raw_NSL = _filtered((place_L - centre_NS1 + 0.5) * (1.0 / stretch_N11), interpolation)
    raw_NSL = raw_NSL * ((place_L >= begin_NS1) & (place_L < end_NS1))
    weights_NSL = raw_NSL / raw_NSL.sum(2, keepdim=True)
    # As many bits as let the largest weight be a whole number of 16.
    room_N = torch.log2(_LARGEST_WEIGHT / weights_NSL.amax((1, 2)))
    bits_N = room_N.ceil().sub(1).clamp(0, _MOST_BITS)
    numbers_NSL = weights_NSL * torch.exp2(bits_N)[:, None, None]
    return (numbers_NSL + numbers_NSL.sign() * 0.5).trunc().to(torch.float32), bits_N


def _filtered(distance: Tensor, interpolation: str) -> Tensor:
    """A filter's value at distances from its middle."""
    x = distance.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0)
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    return torch.where(x < 1, near, far) * (x < _REACHES["bicubic"])
