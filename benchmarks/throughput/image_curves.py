"""R@1 with training crops made by Pillow, as up to version 0.1, and of 8-bit tensors, as now.

    python -m benchmarks.throughput.image_curves demo --seeds 16 --out F.json

Both runs of a seed draw the same crops of the same images in the same order; only the way in
which a crop is resized differs. Each run is the first configuration that the space enqueues, judged
on its validation classes, on one thread.
"""

import argparse
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from histsearch.models.preprocessing import Preprocessing
from histsearch.models.training_boxes import TrainingBoxes
from histsearch.models.transforms import TrainingCrop
from histsearch.reports.statistics import estimate
from histsearch.space.reading import load_space
from histsearch.space.space import Space
from histsearch.training import trainer
from histsearch.training.run_inputs import find_run_parts, load_images, run_settings, split_images
from histsearch.training.single_run import configuration


class PillowCrop:
    """The training crop of version 0.1: Pillow's, of an image in RGB mode."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._side = preprocessing.crop
        self._boxes = TrainingBoxes(preprocessing)
        self._interpolation = v2.InterpolationMode(preprocessing.interpolation)

    def __call__(
        self, image_HW3: npt.NDArray[np.uint8], generator: torch.Generator
    ) -> tuple[Tensor, bool]:
        image = Image.fromarray(image_HW3)
        *box, flipped = self._boxes.draw(image.height, image.width, generator)
        crop = v2.functional.resized_crop(
            image, *box, [self._side, self._side], self._interpolation
        )
        return torch.from_numpy(np.array(crop)), flipped


def curve(space: Space, data_dir: Path, seed: int, crop: type) -> list[float]:
    """R@1 after each epoch in percent."""
    parts = find_run_parts(space, data_dir)
    settings = run_settings(space, configuration(space, {}, parts.loss), parts, seed=seed)
    images, validation, gallery = split_images(load_images(space, data_dir, 0), space.protocol)
    with patch.object(trainer, "TrainingCrop", crop):
        run = trainer.Trainer(settings, images, device=torch.device("cpu"))
    return [round(100 * (epoch.score or 0.0), 3) for epoch in run.epochs(validation, gallery)]


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """R@1 of both crops after the last epoch, and the difference seed by seed."""
    last = [[run[crop][-1] for run in runs] for crop in ("pillow", "tensor")]
    figures = {
        "pillow": estimate(last[0]),
        "tensor": estimate(last[1]),
        "tensor minus pillow": estimate([b - a for a, b in zip(*last, strict=True)]),
    }
    return {
        "n": len(runs),
        **{
            name: {"mean": round(one.mean, 3), "half_width_95": one.half_width}
            for name, one in figures.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("space", help="a space that comes with histsearch, or a TOML file")
    parser.add_argument("--data-dir", type=Path, default=Path())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(options.space)
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        pillow, tensor = (
            curve(space, options.data_dir.expanduser(), seed, crop)
            for crop in (PillowCrop, TrainingCrop)
        )
        runs.append({"seed": seed, "pillow": pillow, "tensor": tensor})
        result = {"space": space.name, "after_the_last_epoch": summary(runs), "runs": runs}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
        print(runs[-1], flush=True)
    print(summary(runs))


if __name__ == "__main__":
    main()
