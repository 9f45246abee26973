"""One parameter at two values, the same seeds at both: R@1 and training throughput.

    python -m benchmarks.input.compare omniglot-conv4 flip true false --data-dir ~/data --out F.json

Each run is the first configuration that the space enqueues, judged on its validation classes. All
runs on one thread and is timed by the process's clock, so that other work on the machine hardly
counts.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from histsearch.cli.options import assignments
from histsearch.reports.statistics import Estimate, estimate
from histsearch.space.configuration import Value
from histsearch.space.reading import load_space
from histsearch.space.space import Space
from histsearch.training.run_inputs import (
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.single_run import configuration
from histsearch.training.trainer import Trainer

Run = dict[str, Any]


def train(space: Space, values: dict[str, Value], data_dir: Path, seed: int) -> Run:
    """Train once: R@1 after each epoch in percent, and images per second of training."""
    parts = find_run_parts(space, data_dir)
    chosen = configuration(space, values, parts.loss)
    settings = run_settings(space, chosen, parts, seed=seed)
    images, validation, gallery = split_images(load_images(space, data_dir, 0), space.protocol)
    trainer = Trainer(settings, images, device=torch.device("cpu"), clock=time.process_time)
    epochs = list(trainer.epochs(validation, gallery))
    return {
        "values": values,
        "seed": seed,
        "recall_at_1": [round(100 * (epoch.score or 0.0), 2) for epoch in epochs],
        "images_per_second": round(statistics.median(one.images_per_second for one in epochs), 1),
        "images": {"training": len(images), "validation": len(validation)},
    }


def compared(first: list[Run], second: list[Run]) -> dict[str, Any]:
    """The second value against the first, seed by seed."""
    last = [[run["recall_at_1"][-1] for run in runs] for runs in (first, second)]
    speed = [[run["images_per_second"] for run in runs] for runs in (first, second)]
    return {
        "n": len(second),
        "last_recall_at_1": [_rounded(estimate(one)) for one in last],
        "difference": _rounded(estimate([b - a for a, b in zip(*last, strict=True)])),
        "times_the_images_per_second": round(
            statistics.median(b / a for a, b in zip(*speed, strict=True)), 2
        ),
    }


def _rounded(figure: Estimate) -> dict[str, float | None]:
    half = figure.half_width
    return {
        "mean": round(figure.mean, 2),
        "half_width_95": None if half is None else round(half, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("space", help="a space that comes with histsearch, or a TOML file")
    parser.add_argument("parameter")
    parser.add_argument("values", nargs=2)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(options.space)
    values = [assignments([f"{options.parameter}={value}"]) for value in options.values]
    runs: tuple[list[Run], list[Run]] = ([], [])
    for seed in range(options.seeds):
        for one, done in zip(values, runs, strict=True):
            done.append(train(space, one, options.data_dir.expanduser(), seed))
            print(done[-1], flush=True)
    result = {
        "space": space.name,
        "parameter": options.parameter,
        "torch": torch.__version__,
        "second_against_first": compared(*runs),
        "runs": [*runs[0], *runs[1]],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(result["second_against_first"])


if __name__ == "__main__":
    main()
