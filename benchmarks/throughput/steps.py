"""How long training waits for a saved state and for loader processes. Prints `steps.md`'s tables.

A state is that of ResNet-50 with HIST and Adam, without pretrained weights. Each round measures
this tree, and an older one with `--before`, in a process each.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from histsearch.hist import HISTLoss
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import build_network
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.run_states import RunStates

SAVES = 5
IMAGES = 256
CPU = torch.device("cpu")
START_METHODS = ("fork", "spawn", "forkserver")


def state_of(backbone: str, device: torch.device) -> dict[str, Any]:
    network = build_network(find_backbone(backbone), 512, weights="none").to(device)
    loss = HISTLoss(98, 512, tau=32, alpha=0.9, lambda_s=1.0).to(device)
    weights = [*network.parameters(), *loss.parameters()]
    optimizer = torch.optim.Adam(weights)
    for one in weights:
        one.grad = torch.zeros_like(one)
    optimizer.step()
    modules: dict[str, nn.Module] = {"network": network, "loss": loss}
    state: dict[str, Any] = {name: module.state_dict() for name, module in modules.items()}
    return state | {"optimizer": optimizer.state_dict()}


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors(one)
    elif isinstance(value, list):
        for one in value:
            yield from tensors(one)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_saves(
    folder: Path, backbone: str = "resnet50", device: torch.device = CPU
) -> dict[str, Any]:
    """Seconds of copies in warm memory, that training waits for a save, and until it is durable.

    A copy is into the host's memory, which is pinned where a GPU copies. There a save only queues
    its copies, before the next step's work: training waits until they are done ("blocked"), the
    host until they are queued ("host").
    """
    state = state_of(backbone, device)
    sources = list(tensors(state))
    pinned = device.type == "cuda"
    targets = [torch.empty_like(one, device="cpu", pin_memory=pinned) for one in sources]

    def copy() -> None:
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)

    def done() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def save_and_wait() -> None:
        save(state)
        done()

    states = RunStates(open_checkpoint_store(str(folder)), "run", 1, "this run")
    save, settle = _saving(states)
    copy()
    done()
    first = seconds(save_and_wait)
    settle()
    found: dict[str, list[float]] = {"copy": [], "host": [], "blocked": [], "durable": []}
    for _ in range(SAVES):
        found["copy"].append(seconds(copy))
        began = time.perf_counter()
        save(state)
        found["host"].append(time.perf_counter() - began)
        done()
        found["blocked"].append(time.perf_counter() - began)
        settle()
        found["durable"].append(time.perf_counter() - began)
    size = sum(one.nbytes for one in sources)
    return {name: statistics.median(values) for name, values in found.items()} | {
        "first": first,
        "bytes": size,
    }


def _saving(states: RunStates) -> tuple[Callable[[Any], object], Callable[[], object]]:
    try:
        from histsearch.training.state_writer import StateWriter
    except ImportError:  # an older tree
        return states.save, lambda: None
    writer = StateWriter(states)
    return writer.save, writer.settle


def measure_evaluations(method: str, processes: int) -> dict[str, float]:
    """Seconds of loading a small set with new processes, and with those of before."""
    from histsearch.data.batches import EvaluationImages
    from histsearch.data.image_loader import ImageLoader
    from histsearch.data.image_set import ImageArrays, ImageSet
    from histsearch.models.transforms import EvaluationCrop

    multiprocessing.set_start_method(method)
    pixels_NHW = np.zeros((IMAGES, 36, 36), dtype=np.uint8)
    images = ImageSet(ImageArrays(pixels_NHW), np.zeros(IMAGES, dtype=np.int64), ["a"])
    preprocessing = find_backbone("conv4").preprocessing
    shown = EvaluationImages(images.formed(EvaluationCrop(preprocessing)))
    loader = ImageLoader(processes, pin_memory=False)

    def load() -> None:
        for _ in loader.batches(shown, shown.batches(IMAGES // 8)):
            pass

    new = seconds(load)
    return {"new": new, "kept": statistics.median(seconds(load) for _ in range(SAVES))}


def in_a_process(tree: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def print_saves(trees: dict[str, Path], rounds: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(rounds):
        for name, tree in trees.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(in_a_process(tree, "--measure-saves", folder))
    print(
        "| | MB | one copy, s | training waits, s | times one copy | first save, s | durable, s |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, all_of_it in found.items():
        column = {key: [one[key] for one in all_of_it] for key in all_of_it[0]}
        ratios = [one["blocked"] / one["copy"] for one in all_of_it]
        print(
            f"| {name} | {column['bytes'][0] / 1e6:.0f} | {spread(column['copy'], 3)} "
            f"| {spread(column['blocked'], 3)} | {spread(ratios, 2)} "
            f"| {spread(column['first'], 2)} | {spread(column['durable'], 2)} |",
            flush=True,
        )


def print_evaluations(tree: Path, rounds: int, processes: int) -> None:
    print("\n| processes start with | new ones, s | kept ones, s |\n|---|--:|--:|")
    for method in START_METHODS:
        all_of_it = [
            in_a_process(tree, "--measure-evaluations", method, "--loaders", str(processes))
            for _ in range(rounds)
        ]
        new, kept = ([one[key] for one in all_of_it] for key in ("new", "kept"))
        print(f"| {method} | {spread(new, 2)} | {spread(kept, 3)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loaders", type=int, default=4)
    parser.add_argument("--before", type=Path, help="a checkout of an older version")
    parser.add_argument("--measure-saves", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure-evaluations", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure_saves:
        print(json.dumps(measure_saves(options.measure_saves)))
    elif options.measure_evaluations:
        print(json.dumps(measure_evaluations(options.measure_evaluations, options.loaders)))
    else:
        here = Path(__file__).parents[2]
        before = {"before": options.before} if options.before else {}
        print_saves(before | {"now": here}, options.rounds)
        print_evaluations(here, options.rounds, options.loaders)


if __name__ == "__main__":
    main()
