"""Slots: the places of a device, on each of which a worker of its own runs trials.

A worker tells its supervisor through a pipe how fast it trains, and the supervisor says what all
slots of the device come to together.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

from histsearch.wording import counted
from histsearch.workers.gpu_lock import keep_held

SUMMARY_SECONDS = 60.0
"""The least time between two summaries of a device; the first comes when all slots have told."""

_VARIABLE = "HISTSEARCH_SLOT"


@dataclass(frozen=True)
class Pace:
    """How a worker trains.

    Attributes:
        images_per_second: Training throughput of the last epoch.
        memory_mib: Peak memory: what torch has allocated on a GPU; without one, the process's.
    """

    images_per_second: float
    memory_mib: int


@dataclass(frozen=True)
class Slot:
    """A worker's place under its supervisor.

    Attributes:
        number: Among those of its device, from 1 on.
        slots: How many the device has.
        reports: Descriptor of the pipe that its paces go to.
        lock: Descriptor of the GPU's lock; None without a GPU.
        shares_log: Whether the supervisor's other workers write to the same log.
    """

    number: int
    slots: int
    reports: int
    lock: int | None
    shares_log: bool = False

    @property
    def suffix(self) -> str:
        """What the name of its worker has after that of the device."""
        return "" if self.slots == 1 else f"/{self.number}"

    def environment(self) -> dict[str, str]:
        """What tells a worker its place; `of_this_process` reads it."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @property
    def descriptors(self) -> list[int]:
        """The files that the worker's process is to have open from its beginning."""
        return [self.reports] if self.lock is None else [self.reports, self.lock]

    @classmethod
    def of_this_process(cls) -> Self | None:
        """The place of a supervisor's worker; None in any other process."""
        told = os.environ.get(_VARIABLE)
        return None if told is None else cls(**json.loads(told))

    def take(self) -> None:
        """Hold its GPU until this process ends; programs started meanwhile get neither file."""
        os.set_inheritable(self.reports, False)
        if self.lock is not None:
            os.set_inheritable(self.lock, False)
            keep_held(self.lock)

    def tell(self, pace: Pace | None) -> None:
        """Tell the supervisor how the worker trains; None where it doesn't."""
        report = {"number": self.number, "pace": None if pace is None else asdict(pace)}
        try:
            # Less than the pipe writes at once, so that no two reports mix.
            os.write(self.reports, f"{json.dumps(report)}\n".encode())
        except (BlockingIOError, BrokenPipeError):
            return  # a supervisor that is busy, or has died, needs it no more


class SlotPaces:
    """How the slots of one device train, as their workers told.

    Args:
        slots: How many there are.
        clock: The seconds between summaries go by it.

    Attributes:
        reports: Descriptor that they write to.
        reader: Descriptor that their reports are read from.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.reader, self.reports = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.reports, False)
        self._rest = b""
        self._running = set(range(1, slots + 1))
        self._awaited = set(self._running)
        self._paces: dict[int, Pace] = {}
        self._clock = clock
        self._next_summary = clock()

    def take(self) -> bool:
        """Read what was told; whether a summary is due: at an epoch's end, now and then."""
        *lines, self._rest = (self._rest + self._read()).split(b"\n")
        reports = [json.loads(line) for line in lines]
        for report in reports:
            self._take_one(report)
        trained = bool(self._paces) and any(report["pace"] is not None for report in reports)
        due = trained and not self._awaited and self._clock() >= self._next_summary
        if due:
            self._next_summary = self._clock() + SUMMARY_SECONDS
        return due

    def _read(self) -> bytes:
        try:
            return os.read(self.reader, 2**16)
        except BlockingIOError:
            return b""

    def _take_one(self, report: Mapping[str, object]) -> None:
        number, pace = report["number"], report["pace"]
        assert isinstance(number, int)
        self._awaited.discard(number)
        self._paces.pop(number, None)
        if pace is not None and number in self._running:  # and not its last words
            assert isinstance(pace, dict)
            self._paces[number] = Pace(**pace)

    def await_report(self, number: int) -> None:
        """Make no summary before the worker of a slot, which is new, has told how it trains."""
        self.forget(number)
        self._running.add(number)
        self._awaited.add(number)

    def forget(self, number: int) -> None:
        """Expect no more of the worker of a slot, which has ended."""
        self._running.discard(number)
        self._awaited.discard(number)
        self._paces.pop(number, None)

    def __str__(self) -> str:
        """Such as "812 images/s on 2 slots together (402 + 410)"."""
        rates = [self._paces[number].images_per_second for number in sorted(self._paces)]
        total = f"{self.images_per_second:.0f} images/s on {counted(len(rates), 'slot')}"
        if len(rates) == 1:
            return total
        return f"{total} together ({' + '.join(f'{rate:.0f}' for rate in rates)})"

    @property
    def images_per_second(self) -> float:
        """Their training throughput, added up."""
        return sum(pace.images_per_second for pace in self._paces.values())

    @property
    def memory_mib(self) -> int:
        """Their workers' peak memory, added up."""
        return sum(pace.memory_mib for pace in self._paces.values())
