"""What the sections of the benchmark for GPUs count."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_sections import trial
from benchmarks.gpu_sections.session import TINY, Session
from benchmarks.throughput import steps
from histsearch.data.cache_contents import kept_forms
from histsearch.training.state_writer import StateWriter


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (trial, steps):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_trial_lasts_until_its_last_state_is_saved(clock: Clock) -> None:
    def epochs() -> Iterator[float]:
        for _ in range(2):
            clock.now += 1.0
            yield 1.0
        clock.now += 5.0  # the last state becomes durable

    row = trial._timed(epochs())
    assert (row["epochs"], row["last epoch, s"], row["whole trial, s"]) == (2, 1.0, 7.0)


def test_no_trial_pays_for_the_decoding_of_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def way(session: Session, *_: object) -> Iterator[float]:
        kept.append([form.images for form in kept_forms(session.folder / "cache")])
        yield 0.0

    kept: list[list[int]] = []
    for name in ("_ours", "_reference"):
        monkeypatch.setattr(trial, name, way)
    session = Session(torch.device("cpu"), TINY._replace(loaders=(0,)), tmp_path)
    assert len(list(trial.rows(session))) == 3
    images = TINY.classes * TINY.images_per_class
    assert kept == [[images, images]] * 3


def test_training_waits_for_the_copies_that_a_gpu_has_queued(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no GPU, a clock goes on as if one copied."""

    def queue(*_: object) -> None:
        clock.now += 1.0

    def synchronize(*_: object) -> None:
        clock.now += 10.0

    monkeypatch.setattr(steps, "state_of", lambda *_: {"one": torch.zeros(3)})
    monkeypatch.setattr(StateWriter, "save", queue)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch, "empty_like", lambda one, **_: one.clone())
    found = steps.measure_saves(tmp_path, "conv4", torch.device("cuda"))
    assert (found["host"], found["blocked"]) == (1.0, 11.0)
