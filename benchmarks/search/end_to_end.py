"""The same search for real, in workers: freeze-thaw against a space's ``sampler = "tpe"``.

    python -m benchmarks.search.end_to_end --data-dir ~/data --hours 0.03 --repeats 3

Each repeat has a validation split of its own, the same for both. Either search has the same hours
of one worker. What counts is not what a search saw but how good its answer is: the configuration it
would retrain is trained anew with seeds that no search used, and its last R@1 on the validation
classes is averaged. One JSON line a search is appended to ``end_to_end.jsonl``; what is there isn't
done again.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histsearch.space.configuration import Value
from histsearch.space.reading import parse_space
from histsearch.space.space import Space
from histsearch.training.run_inputs import (
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.trainer import Trainer

HERE = Path(__file__).parent
SPACE = "omniglot-conv4"
FRESH_SEED = 1_000_000
METHODS: dict[str, dict[str, Any]] = {
    "freeze-thaw": {"sampler": "freeze-thaw", "decided": False},
    "tpe-multivariate-median-warmup": {"sampler": "tpe", "pruner": "median"},
}


def space_of(method: str, repeat: int, hours: float) -> Space:
    """The space of one search: as it comes with histsearch, but for sampler, end and seed."""
    table = tomllib.loads((HERE.parents[1] / "spaces" / f"{SPACE}.toml").read_text())
    table |= {"name": f"{method}-{repeat}", "trials": 1000, "gpu_hours": hours}
    table |= {"protocol": {"seed": repeat}} | METHODS[method]
    return parse_space(table, source=method)


def histsearch(*arguments: str) -> str:
    command = [sys.executable, "-m", "histsearch", *arguments]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def search(space: Space, folder: Path) -> dict[str, Any]:
    """Run one search by the program as a user would; its best trial and its trials' states."""
    path = folder / f"{space.name}.toml"
    path.write_text(_toml(space))
    histsearch("study", "create", str(path))
    histsearch("worker", "--device", "cpu", "--drain", "--study", space.name)
    shown: dict[str, Any] = json.loads(histsearch("study", "show", space.name, "--json"))
    return shown


def _toml(space: Space) -> str:
    lines = []
    tables = {"search", "fixed", "protocol", "sampler", "pruner"}
    dumped = space.model_dump(mode="json", exclude={"enqueue", "baseline"})
    for key, value in dumped.items():
        if key not in tables and value is not None:
            lines.append(f"{key} = {json.dumps(value)}")
    if space.decided is None and space.sampler.name == "freeze-thaw":
        lines.append("decided = false")
    for table in sorted(tables):
        lines.append(f"[{table}]")
        lines += [f"{k} = {json.dumps(v)}" for k, v in dumped[table].items() if v is not None]
    for configuration in space.enqueue:
        lines += ["[[enqueue]]", *(f"{k} = {json.dumps(v)}" for k, v in configuration.items())]
    return "\n".join(lines) + "\n"


def true_recall(space: Space, params: dict[str, Value], data_dir: Path, seeds: int) -> list[float]:
    """The last R@1 of a configuration in percent, for seeds that no search used."""
    train, validation, gallery = split_images(load_images(space, data_dir, 0), space.protocol)
    parts = find_run_parts(space, data_dir)
    recalls = []
    for seed in range(FRESH_SEED, FRESH_SEED + seeds):
        settings = run_settings(space, params, parts, seed=seed)
        trainer = Trainer(settings, train, device=torch.device("cpu"))
        *_, last = trainer.epochs(validation, gallery)
        recalls.append(round(100 * (last.score or 0.0), 2))
    return recalls


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=0.03)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5, help="fresh seeds of each answer")
    parser.add_argument("--home", type=Path, default=Path("end-to-end-home"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.home.mkdir(exist_ok=True)
    os.environ |= {
        "HISTSEARCH_HOME": str(options.home.resolve()),
        "HISTSEARCH_DATA": str(options.data_dir.resolve()),
        "OMP_NUM_THREADS": "1",
    }
    out = HERE / "end_to_end.jsonl"
    known = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(line["method"], line["repeat"]) for line in known}
    for repeat in range(options.repeats):
        for method in METHODS:
            if (method, repeat) in done:
                continue
            space = space_of(method, repeat, options.hours)
            shown = search(space, options.home)
            params = shown["best"]["params"]
            recalls = true_recall(space, params, options.data_dir, options.seeds)
            line = {
                "method": method,
                "repeat": repeat,
                "hours": options.hours,
                "trials": shown["trials"],
                "params": params,
                "seen": shown["best"]["value"],
                "true": round(float(np.mean(recalls)), 2),
                "recalls": recalls,
            }
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line)


if __name__ == "__main__":
    main()
