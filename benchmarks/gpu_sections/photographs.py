"""Smooth random photographs with some grain, as JPEG files; the same whoever makes them."""

from pathlib import Path

import numpy as np
from PIL import Image

from histsearch.data.image_set import ImageSet

_COARSE = (8, 6)
_GRAIN = 6.0
_QUALITY = 90


def photographs(
    folder: Path, classes: int, images_per_class: int, size: tuple[int, int]
) -> tuple[ImageSet, ImageSet]:
    """Those of some classes, and those of as many others, made where they aren't there yet."""
    files = [
        (folder / f"{label:03d}" / f"{number:03d}.jpg", f"{label:03d}")
        for label in range(2 * classes)
        for number in range(images_per_class)
    ]
    for place, (file, label) in enumerate(files):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _photograph(place, int(label), size).save(file, quality=_QUALITY)
    half = len(files) // 2
    return ImageSet.from_files(files[:half]), ImageSet.from_files(files[half:])


def _photograph(seed: int, label: int, size: tuple[int, int]) -> Image.Image:
    """Smooth areas that a class's images have in common, others of its own, and grain."""
    width, height = size
    common, own = np.random.default_rng((0, label)), np.random.default_rng((1, seed))
    shape = (_COARSE[1], _COARSE[0], 3)
    coarse = 0.6 * common.uniform(0, 255, shape) + 0.4 * own.uniform(0, 255, shape)
    smooth = Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth) + own.normal(scale=_GRAIN, size=(height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
