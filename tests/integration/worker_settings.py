"""What a worker of a test is started with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from histsearch.workers.registry import Identity
from histsearch.workers.settings import WorkerSettings


def worker_settings(folder: Path, *studies: str, **changes: Any) -> WorkerSettings:
    """Those of a worker on the CPU that ends when nothing is left to do.

    Args:
        folder: Holds data sets and checkpoints.
        studies: Studies to serve; every study when empty.
        changes: Other attributes.
    """
    usual = WorkerSettings(
        identity=Identity("tester", "localhost", 1, "a processor", None),
        study_names=studies,
        drain=True,
        data_dir=folder,
        checkpoints=str(folder / "checkpoints"),
        checkpoint_every=1,
        heartbeat_seconds=10,
        patience_seconds=60,
        device="cpu",
        threads=1,
        loader_processes=0,
    )
    return replace(usual, **changes)
