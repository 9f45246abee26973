"""Train every configuration of a grid: learning-curve tables for the search benchmark.

    python -m benchmarks.search.train_tables narrow-omniglot --seeds 3 --data-dir ~/data

Appends one JSON line a run to ``tables/SPACE.jsonl``; started again, it goes on with the runs that
the file lacks. The runs are this project's own `Trainer` on the classes and validation split that a
study would use, with three differences that make hundreds of runs affordable on a CPU:

- few, small images: the first ones of each training class, all of each validation class;
- each run has a seed of its own for weights and order, as in a study, but runs of the same column
  of seeds share their augmented images, which are made once a process;
- seconds are those of the CPU (one thread a run), so that other load on the machine doesn't count.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from histsearch.data.batches import EvaluationImages, TrainingImages
from histsearch.data.image_set import ImageSet
from histsearch.space.configuration import Value
from histsearch.space.parameters import Range
from histsearch.space.reading import load_space
from histsearch.space.space import Space
from histsearch.training import batch_source, trainer
from histsearch.training.run_inputs import (
    RunParts,
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)

HERE = Path(__file__).parent
PIXELS = 20
CHUNK = 4  # runs a process takes at once


class Scale(NamedTuple):
    """Where the images are and how many of each class train."""

    data_dir: Path
    images_per_class: int


class Run(NamedTuple):
    params: dict[str, Value]
    seed: int

    @property
    def key(self) -> str:
        return json.dumps([self.params, self.seed], sort_keys=True)


def grid(space: Space) -> list[dict[str, Value]]:
    """Every configuration of a space, the last parameter fastest."""
    parameters = [
        parameter for parameter in space.search.values() if not isinstance(parameter, Range)
    ]
    return [dict(zip(space.search, values, strict=True)) for values in product(*parameters)]


class _RememberedTrainingImages(TrainingImages):
    column = 0
    memory: dict[tuple[int, int, int], tuple[Tensor, bool, int]] = {}  # noqa: RUF012

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, bool, int]:
        self.seed = self.column
        known = (self.column, *key)
        if known not in self.memory:
            self.memory[known] = super().__getitem__(key)
        return self.memory[known]


class _RememberedEvaluationImages(EvaluationImages):
    memory: dict[int, Tensor] = {}  # noqa: RUF012

    def __getitem__(self, index: int) -> Tensor:
        if index not in self.memory:
            self.memory[index] = super().__getitem__(index)
        return self.memory[index]


@contextmanager
def _with_memory() -> Iterator[None]:
    """The trainer as it is, but for its memory of images."""
    with ExitStack() as changes:
        for module, name, substitute in (
            (trainer, "TrainingImages", _RememberedTrainingImages),
            (batch_source, "EvaluationImages", _RememberedEvaluationImages),
        ):
            changes.enter_context(patch.object(module, name, substitute))
        yield


@cache
def _images(space_name: str, scale: Scale) -> tuple[ImageSet, ImageSet]:
    space = _space(space_name)
    train, validation, _ = split_images(load_images(space, scale.data_dir, 0), space.protocol)
    first = [
        np.flatnonzero(train.labels_N == label)[: scale.images_per_class]
        for label in range(train.num_classes)
    ]
    return train.take(np.concatenate(first)), validation


def _space(name: str) -> Space:
    return load_space(str(HERE / "spaces" / f"{name}.toml"))


def train(space_name: str, scale: Scale, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Train some runs in this process, one line for the table each."""
    torch.set_num_threads(1)
    with _with_memory():
        return [_train(space_name, scale, run) for run in runs]


def _of_small_images(network: RunParts) -> RunParts:
    preprocessing = replace(network.backbone.preprocessing, resize=PIXELS + 2, crop=PIXELS)
    return network._replace(backbone=replace(network.backbone, preprocessing=preprocessing))


def _train(space_name: str, scale: Scale, run: Run) -> dict[str, Any]:
    images, validation = _images(space_name, scale)
    if _RememberedTrainingImages.column != run.seed:
        _RememberedTrainingImages.column = run.seed
        _RememberedTrainingImages.memory.clear()
    space = _space(space_name)
    configurations = grid(space)
    own_seed = run.seed * len(configurations) + configurations.index(run.params)
    parts = _of_small_images(find_run_parts(space, scale.data_dir))
    settings = run_settings(space, run.params, parts, seed=own_seed)
    one = trainer.Trainer(settings, images, device=torch.device("cpu"), clock=time.process_time)
    epochs = []
    try:
        for epoch in one.epochs(validation):
            epochs.append(epoch)
    except trainer.NonFiniteLossError:
        pass  # a configuration that diverges keeps the curve it had
    seconds = [round(epoch.seconds, 4) for epoch in epochs]
    warmup_seconds = round(one.warmup_seconds, 4)
    return {
        "params": run.params,
        "seed": run.seed,
        "curve": [round(epoch.score or 0.0, 5) for epoch in epochs],
        "seconds": round(warmup_seconds + sum(seconds), 4),
        "warmup_seconds": warmup_seconds,
        "epoch_seconds": seconds,
    }


def finished(path: Path) -> set[str]:
    """Keys of the runs a table has; a line torn by a crash is cut off."""
    if not path.exists():
        return set()
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    return {Run(line["params"], line["seed"]).key for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("space", help="name of a file in spaces/")
    parser.add_argument("--data-dir", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images-per-class", type=int, default=10, help="of a training class")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = options.out or HERE / "tables" / f"{options.space}.jsonl"
    scale = Scale(options.data_dir, options.images_per_class)
    done = finished(path)
    # Whole grids, one seed after another, so that a table cut short has fewer seeds.
    wanted = [
        Run(one, seed) for seed in range(options.seeds) for one in grid(_space(options.space))
    ]
    missing = [run for run in wanted if run.key not in done]
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    with (
        path.open("a") as table,
        ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool,
    ):
        for future in as_completed(
            [pool.submit(train, options.space, scale, chunk) for chunk in chunks]
        ):
            table.writelines(json.dumps(line) + "\n" for line in future.result())
            table.flush()


if __name__ == "__main__":
    main()
