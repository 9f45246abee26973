"""Folders of classes with tiny images, each image another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw_classes(root: Path, sizes: Sequence[int]) -> None:
    """Write classes ``class00``, ``class01`` ... of ``sizes`` images below ``root``."""
    rng = np.random.default_rng(0)
    for label, size in enumerate(sizes):
        folder = root / f"class{label:02d}"
        folder.mkdir(parents=True)
        for number in range(size):
            pixels_HW = rng.integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels_HW).save(folder / f"{number}.png")
