"""The input images of a network: their sizes, their normalisation, their training crops."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import Field

MOST_PIXELS = 2048
"""Longest side of an input image, twice the largest of timm's."""

MOST_CROP = MOST_PIXELS // 2
"""Longest side of the square image that a network sees; a test image is resized to more."""

# The limits bind a description that is read from a file; whoever wrote it may be a stranger.
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Mean = Annotated[float, Field(allow_inf_nan=False)]
Std = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Preprocessing:
    """Sizes, normalisation and training crops of a network's input images.

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
        flip: Whether every second training image, by chance, is mirrored left to right.
    """

    resize: Pixels
    crop: Pixels
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Std, Std, Std]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    value_range: Annotated[float, Field(ge=1, le=255)] = 1.0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    min_crop_area: Annotated[float, Field(gt=0, le=1)] = 0.08
    flip: bool = True

    def changed(self, *, image_size: int | None, min_crop_area: float | None, flip: bool) -> Self:
        """The same with other hyperparameters; None keeps one.

        A test image's shorter side keeps its ratio to the crop, to the nearest pixel.
        """
        crop = self.crop if image_size is None else image_size
        return replace(
            self,
            resize=round(crop * self.resize / self.crop),
            crop=crop,
            min_crop_area=self.min_crop_area if min_crop_area is None else min_crop_area,
            flip=flip,
        )

    @property
    def hyperparameters(self) -> dict[str, int | float | bool]:
        """Those that `changed` takes, by name."""
        return {
            "image_size": self.crop,
            "min_crop_area": self.min_crop_area,
            "flip": self.flip,
        }
