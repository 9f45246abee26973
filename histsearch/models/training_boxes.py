"""The parts of images that training crops show, drawn as torchvision's `RandomResizedCrop` does."""

import math
from typing import NamedTuple

import torch

from histsearch.models.preprocessing import Preprocessing

_NARROWEST, _WIDEST = 3 / 4, 4 / 3  # width to height, as torchvision's and the reference code's
_TRIES = 10
_FLIPPED_SHARE = 0.5


class TrainingBox(NamedTuple):
    """A rectangle of an image, in pixels, and whether its crop is to be mirrored left to right."""

    top: int
    left: int
    height: int
    width: int
    flipped: bool


class TrainingBoxes:
    """Draws the boxes of training crops.

    The numbers, and how many a box takes, are those of torchvision's transforms
    (`RandomResizedCrop.get_params`), which draw them from torch's global generator.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._least_area = preprocessing.min_crop_area
        self._flip = preprocessing.flip
        self._least_log, self._most_log = torch.log(torch.tensor([_NARROWEST, _WIDEST])).tolist()

    def draw(self, height: int, width: int, generator: torch.Generator) -> TrainingBox:
        """The box of an image of that height and width."""
        top, left, box_height, box_width = self._draw_place(height, width, generator)
        flipped = self._flip and torch.rand(1, generator=generator).item() < _FLIPPED_SHARE
        return TrainingBox(top, left, box_height, box_width, flipped)

    def _draw_place(
        self, height: int, width: int, generator: torch.Generator
    ) -> tuple[int, int, int, int]:
        for _ in range(_TRIES):
            area = height * width * _uniform(self._least_area, 1.0, generator).item()
            # float32's exponential, which differs from math.exp in the last digits
            shape = torch.exp(_uniform(self._least_log, self._most_log, generator)).item()
            box_width = round(math.sqrt(area * shape))
            box_height = round(math.sqrt(area / shape))
            if 0 < box_width <= width and 0 < box_height <= height:
                top = _below(height - box_height + 1, generator)
                return top, _below(width - box_width + 1, generator), box_height, box_width
        return _middle(height, width)


def _uniform(low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.empty(1).uniform_(low, high, generator=generator)


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (1,), generator=generator).item())


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    """The largest box in the middle of an image that is neither too narrow nor too wide."""
    box_height, box_width = height, width
    if width / height < _NARROWEST:
        box_height = round(width / _NARROWEST)
    elif width / height > _WIDEST:
        box_width = round(height * _WIDEST)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
