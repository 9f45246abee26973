"""How often a worker waits for the database, as a line between the two counts it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy.engine import URL

from benchmarks.throughput.line import Line, line_to
from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.worker_settings import worker_settings

torch.set_num_threads(1)

EPOCHS = 6


class Counter(logging.Handler):
    """Notes with each event of a trial how much was asked until then."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self.asked: list[tuple[str, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if (event := getattr(record, "event", None)) is not None:
            self.asked.append((event, len(self._line.queries)))

    def between(self, first: str, then: str) -> list[int]:
        """How much was asked between each event of the one kind and one of the other after it."""
        pairs = zip(self.asked, self.asked[1:], strict=False)
        return [end - begin for (one, begin), (two, end) in pairs if (one, two) == (first, then)]


@contextmanager
def counting(line: Line) -> Iterator[Counter]:
    counter, log = Counter(line), logging.getLogger("histsearch")
    level = log.level
    log.addHandler(counter)
    log.setLevel(logging.INFO)
    try:
        yield counter
    finally:
        log.removeHandler(counter)
        log.setLevel(level)


def settings(data_dir: Path, folder: Path) -> WorkerSettings:
    return worker_settings(
        data_dir,
        "stripes",
        checkpoints=str(folder / "checkpoints"),
        checkpoint_every=EPOCHS,
        heartbeat_seconds=1000,
    )


@pytest.mark.parametrize(
    "strategy",
    [{"sampler": "random", "pruner": {"name": "none"}}, {"sampler": "freeze-thaw"}],
    ids=["random", "freeze-thaw"],
)
def test_a_trial_asks_the_database_seldom(
    storage: Storage,
    database: URL,
    data_dir: Path,
    tmp_path: Path,
    stripes: dict[str, Any],
    strategy: dict[str, Any],
) -> None:
    space = {**stripes, "epochs": EPOCHS, "trials": 2, **strategy}
    create_search(storage, parse_space(space, source="test"))
    (tmp_path / "line").mkdir()
    with line_to(database, tmp_path / "line") as line, counting(line) as counter:
        opened = Storage(line.url)
        assert (line.connections, line.most_connections) == (1, 1)
        assert len(line.queries) <= 12
        run_worker(opened, settings(data_dir, tmp_path), StopRequest())
        assert counter.asked[0] <= ("epoch", 42)  # with the report of that epoch
        epochs = counter.between("epoch", "epoch")
        assert len(epochs) > EPOCHS
        # A verdict takes one more, two where it asks whether the study ends, one more to keep the
        # answer, and two where the model is fitted anew.
        assert max(epochs) <= 6
        # From the end of one trial over the claim of the next to that one's first epoch.
        assert max(counter.between("ended", "epoch")) <= 18
        assert line.most_connections <= 2
