"""What a backbone expects of its input images."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preprocessing:
    """Sizes and normalisation of a backbone's input images.

    `dataclasses.asdict` gives a dict that JSON can hold.

    Attributes:
        resize: Length of a test image's shorter side before the centre crop, in pixels.
        crop: Side of the square image the backbone sees, in pixels.
        mean: Mean subtracted per channel, in `channel_order` and in units of `value_range`.
        std: Divisor per channel, in `channel_order` and in units of `value_range`.
        channel_order: Order of the colour channels the backbone was trained with.
        value_range: Pixel value that stands for full brightness: 1.0 or 255.0.
        interpolation: How images are resized, in training and in testing.
        min_crop_area: Smallest area of a random training crop, as a fraction of the image's area.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    value_range: float = 1.0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    min_crop_area: float = 0.08
