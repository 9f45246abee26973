"""A data set of stripes, small enough to train on within a fraction of a second."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def draw_stripes(root: Path) -> None:
    """Write ``stripes`` into a data folder: 12 classes of 8 noisy stripe patterns as PNG files."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:36, 0:36]
    for label in range(12):
        angle = np.pi * label / 12
        waves = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * (0.5 + 0.1 * (label % 3)))
        folder = root / "stripes" / f"class{label:02d}"
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = 128 + 80 * waves + rng.normal(scale=25, size=waves.shape)
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"{number}.png")


def stripes_space() -> dict[str, Any]:
    """A space over ``stripes``, as a table."""
    return {
        "name": "stripes",
        "dataset": "folder:stripes",
        "backbone": "conv4",
        "epochs": 3,
        "trials": 3,
        "sampler": "tpe",
        "search": {"lambda_s": [0.5, 1.0, 2.0], "tau": [8, 16, 32], "batch_size": [8, 16]},
        "fixed": {
            "embedding_size": 16,
            "hgnn_hidden": 16,
            "lr": 0.003,
            "lr_hgnn": 0.003,
            "bn_freeze": False,
        },
        "protocol": {"validation_fraction": 0.34},
    }
