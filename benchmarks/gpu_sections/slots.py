"""Images a second and memory of several processes that train on one device side by side."""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import torch

from benchmarks.gpu_sections.session import Row, Session
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.trainer import InterruptedRunError, Trainer

_ENDLESS = 10_000
_WARM_UP = 5
_START_SECONDS = 20.0
_BARRIER_SECONDS = 120.0

_all_begun: Barrier | None = None


class _Found(NamedTuple):
    images_per_second: float
    own_gigabytes: float
    device_gigabytes: float


def rows(session: Session) -> Iterator[Row]:
    """A line for each number of processes."""
    session.images(cached=False)  # made first, so that no line pays for it
    for slots in session.scale.slots:
        if session.has_time_for(_START_SECONDS + session.scale.slot_seconds):
            yield _side_by_side(session, slots)


def _side_by_side(session: Session, slots: int) -> Row:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(slots)
    with ProcessPoolExecutor(slots, context, _remember, (barrier,)) as pool:
        found = [one.result() for one in [pool.submit(_train, session) for _ in range(slots)]]
    total = sum(one.images_per_second for one in found)
    return {
        "processes": slots,
        "images/s of all": round(total),
        "images/s of one": round(total / slots),
        "GB of one": round(max(one.own_gigabytes for one in found), 2),
        "GB of the device": round(max(one.device_gigabytes for one in found), 2),
    }


def _remember(barrier: Barrier) -> None:
    global _all_begun
    _all_begun = barrier


def _train(session: Session) -> _Found:
    """Train for a while, once all processes do; called in a process of its own."""
    torch.set_num_threads(1)
    train, _ = session.images(cached=True)
    pace = _Pace(session)
    trainer = Trainer(
        session.settings(epochs=_ENDLESS),
        train,
        device=session.device,
        on_device=ImagesOnDevice(session.device, DataOnGpu.always),
        should_stop=lambda: pace.is_over(trainer),
    )
    try:
        for _ in trainer.epochs():
            pass
    except InterruptedRunError:
        pass
    return _Found(pace.images_per_second, *_gigabytes(session.device))


class _Pace:
    """Batches a second, from when all processes have warmed up."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._batches = 0
        self._last = (0, 0, 0)
        self._began = 0.0
        self._seconds = 0.0

    def is_over(self, trainer: Trainer) -> bool:
        if trainer.position == self._last:
            return False
        self._last = trainer.position
        self._batches += 1
        if self._batches == _WARM_UP:
            assert _all_begun is not None
            self._session.wait()
            _all_begun.wait(_BARRIER_SECONDS)
            self._began = time.perf_counter()
        if self._batches <= _WARM_UP:
            return False
        if time.perf_counter() - self._began < self._session.scale.slot_seconds:
            return False
        self._session.wait()
        self._seconds = time.perf_counter() - self._began
        return True

    @property
    def images_per_second(self) -> float:
        batches = self._batches - _WARM_UP
        return batches * self._session.scale.batches[-1] / self._seconds


def _gigabytes(device: torch.device) -> tuple[float, float]:
    """Memory that this process takes, and that is taken of the device."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return torch.cuda.max_memory_reserved(device) / 1e9, (total - free) / 1e9
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return resident, 0.0
