"""How long training waits for a saved state, beside torch.save."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import torch

from benchmarks.gpu_sections.session import Row, Session
from benchmarks.throughput.steps import SAVES, measure_saves, state_of

_SECONDS = 25.0


def rows(session: Session) -> Iterator[Row]:
    """A line for the states of a run, and one for torch.save."""
    folder = session.folder / "states"
    folder.mkdir(exist_ok=True)
    if not session.has_time_for(_SECONDS):
        return
    found = measure_saves(folder, session.scale.backbone, session.device)
    yield _row("beside training", found, found["blocked"], found["host"], found["durable"])
    if not session.has_time_for(_SECONDS):
        return
    state = state_of(session.scale.backbone, session.device)
    plain = median(
        session.seconds(lambda: torch.save(state, Path(folder, "plain.pt"))) for _ in range(SAVES)
    )
    yield _row("torch.save", found, plain, plain, None)


def _row(
    way: str, found: Mapping[str, float], waits: float, host: float, durable: float | None
) -> Row:
    return {
        "way": way,
        "MB": round(found["bytes"] / 1e6),
        "training waits, s": round(waits, 4),
        "of that the host, s": round(host, 4),
        "times one copy": round(waits / found["copy"], 2),
        "durable, s": "not asked for" if durable is None else round(durable, 3),
    }
