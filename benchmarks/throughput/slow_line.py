"""What a search loses to a line to PostgreSQL on which an answer takes long.

    python -m benchmarks.throughput.slow_line 0.2 2

One worker, a search of four trials of 14 epochs over small images that this script draws. What the
line costs is measured beside the same search without it, and told in percent of the training where
an epoch takes ten seconds.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from sqlalchemy.engine import URL

from benchmarks.throughput.database import database
from benchmarks.throughput.line import Line, line_to
from histsearch.database.embedded_postgres import server
from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.workers.registry import Identity
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker

EPOCH_SECONDS = 10.0
SPACE: dict[str, Any] = {
    "name": "small",
    "dataset": "folder:small",
    "backbone": "conv4",
    "epochs": 14,
    "trials": 4,
    "search": {"lambda_s": [0.5, 1.0, 2.0], "tau": [8, 16, 32], "batch_size": [8, 16]},
    "fixed": {"embedding_size": 16, "hgnn_hidden": 16, "bn_freeze": False},
    "protocol": {"validation_fraction": 0.34},
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random", "pruner": {"name": "none"}},
    "freeze-thaw": {"sampler": "freeze-thaw"},
}
HEADINGS = (
    "sampler",
    "round trip",
    "epochs",
    "round trips an epoch",
    "until the first epoch's end",
    "lost an epoch",
    "of ten seconds",
)


class Run(NamedTuple):
    """What a search took.

    Attributes:
        seconds: Until the worker ended.
        first_epoch: Until the first epoch was over.
        epochs: How many were trained.
        round_trips: How often it waited for an answer.
    """

    seconds: float
    first_epoch: float
    epochs: int
    round_trips: int


class Epochs(logging.Handler):
    """Notes when each epoch was over."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take in an event of a trial."""
        if getattr(record, "event", None) == "epoch":
            self.ended.append(time.perf_counter())


def draw(folder: Path) -> None:
    """Twelve classes of six images, each of one shade with noise."""
    rng = np.random.default_rng(0)
    for shade in range(12):
        (folder / f"shade{shade}").mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 32, (32, 32, 3)) + 18 * shade
            Image.fromarray(pixels.astype(np.uint8)).save(
                folder / f"shade{shade}" / f"{number}.png"
            )


def search(line: Line, folder: Path) -> Run:
    """Run a search through a line."""
    settings = WorkerSettings(
        identity=Identity("searcher", "localhost", 1, "a processor", None),
        study_names=(),
        drain=True,
        data_dir=folder,
        checkpoints=str(folder / "checkpoints"),
        checkpoint_every=1,
        heartbeat_seconds=10.0,
        patience_seconds=3600.0,
        device="cpu",
        threads=1,
        loader_processes=0,
    )
    epochs, log = Epochs(), logging.getLogger("histsearch")
    log.addHandler(epochs)
    log.setLevel(logging.INFO)
    began = time.perf_counter()
    try:
        run_worker(Storage(line.url), settings, StopRequest())
    finally:
        log.removeHandler(epochs)
    seconds = time.perf_counter() - began
    return Run(seconds, epochs.ended[0] - began, len(epochs.ended), len(line.queries))


def measure(postgres: URL, strategy: str, round_trip: float, folder: Path) -> Run:
    """The same search in a database of its own."""
    url = database(postgres, f"slow_{strategy.replace('-', '_')}_{int(1000 * round_trip)}")
    create_search(Storage(url), parse_space(SPACE | STRATEGIES[strategy], source="benchmark"))
    with tempfile.TemporaryDirectory() as place, line_to(url, Path(place), round_trip) as line:
        return search(line, folder)


def row(strategy: str, round_trip: float, slow: Run, quick: Run) -> str:
    """A line of the table."""
    lost = (slow.seconds - slow.epochs / quick.epochs * quick.seconds) / slow.epochs
    return (
        f"| {strategy} | {round_trip:g} s | {slow.epochs} | {slow.round_trips / slow.epochs:.1f} | "
        f"{slow.first_epoch:.1f} s | {lost:.2f} s | {lost / EPOCH_SECONDS:.1%} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("round_trips", type=float, nargs="+", help="in seconds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| " + " | ".join(HEADINGS) + " |")
    print("| --- " * len(HEADINGS) + "|")
    with (
        tempfile.TemporaryDirectory(prefix="histsearch-", ignore_cleanup_errors=True) as home,
        patch.dict("os.environ", HISTSEARCH_HOME=home),
    ):
        folder = Path(home)
        folder.chmod(0o711)  # the server may run as another user
        draw(folder / "small")
        postgres = server.start()
        try:
            for strategy in STRATEGIES:
                quick = measure(postgres, strategy, 0.0, folder)
                for round_trip in given.round_trips:
                    slow = measure(postgres, strategy, round_trip, folder)
                    print(row(strategy, round_trip, slow, quick), flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
