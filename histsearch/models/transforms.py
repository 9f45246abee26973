"""Transforms from an image to a backbone's input tensor."""

# C = channels, H, W = height and width in pixels

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from histsearch.models.preprocessing import Preprocessing

FULL_BRIGHTNESS = 255.0


def train_transform(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    """Return the transform of training images: random crop, flip where asked for, normalisation.

    Its randomness comes from torch's global generator alone, so the caller makes a sample
    repeatable by seeding that.

    Returns:
        A function from an image of any mode to a float32 tensor (3, crop, crop).
    """
    transform: Callable[[Image.Image], Tensor] = v2.Compose(
        [
            _as_rgb,
            v2.RandomResizedCrop(
                preprocessing.crop,
                scale=(preprocessing.min_crop_area, 1.0),
                interpolation=v2.InterpolationMode(preprocessing.interpolation),
            ),
            *([v2.RandomHorizontalFlip()] if preprocessing.flip else []),
            *_normalisation(preprocessing),
        ]
    )
    return transform


def test_transform(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    """Return the transform of test images: resize, centre crop, normalisation.

    Returns:
        A function from an image of any mode to a float32 tensor (3, crop, crop).
    """
    transform: Callable[[Image.Image], Tensor] = v2.Compose(
        [
            _as_rgb,
            v2.Resize(
                preprocessing.resize,
                interpolation=v2.InterpolationMode(preprocessing.interpolation),
            ),
            v2.CenterCrop(preprocessing.crop),
            *_normalisation(preprocessing),
        ]
    )
    return transform


def _as_rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _reverse_channels(image_CHW: Tensor) -> Tensor:
    return image_CHW.flip(0)


def _normalisation(preprocessing: Preprocessing) -> list[Callable[..., Tensor]]:
    # Pixels stay in 0..255 and the statistics are brought to that range: one pass less.
    to_pixels = FULL_BRIGHTNESS / preprocessing.value_range
    mean = [value * to_pixels for value in preprocessing.mean]
    std = [value * to_pixels for value in preprocessing.std]
    reverse = [_reverse_channels] if preprocessing.channel_order == "bgr" else []
    return [
        v2.PILToTensor(),
        *reverse,
        v2.ToDtype(torch.float32),
        v2.Normalize(mean, std, inplace=True),
    ]
