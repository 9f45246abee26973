"""A watch over the work of the main thread, which notices when it hangs.

A heartbeat says that a process lives, and comes from a thread of its own: it goes on while the main
thread waits for ever for a disk or a GPU that doesn't answer.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Stall:
    """Work that hangs.

    Attributes:
        doing: What was being done, such as "training" or "saving its state".
        seconds: How long there has been no progress.
    """

    doing: str
    seconds: float

    def __str__(self) -> str:
        return f"no progress for {self.seconds:.0f} s while {self.doing}"


@dataclass(frozen=True)
class WatchTimes:
    """How long the work may be without progress, in seconds.

    Attributes:
        factor: A step may take so many times the longest one so far,
        least: but always so long.
        first: The limit of the first step, which loads and starts what the others find there, so
            that it sets no measure; and of the second.
        long_step: The limit of a step that is known to be long and can't be divided.
        glance: Time between two looks.
    """

    factor: float = 10.0
    least: float = 60.0
    first: float = 600.0
    long_step: float = 3600.0
    glance: float = 1.0


def _do_nothing(_: Stall) -> None:
    return None


class ProgressWatch:
    """Calls ``on_stall``, once and from a thread of its own, when watched work hangs.

    As a context manager it looks from time to time; nothing is judged otherwise.

    Args:
        on_stall: What to do then.
        times: How long the work may be without progress.
        clock: The seconds it goes by; an `AwakeClock` where a suspension is to be no stall.
    """

    def __init__(
        self,
        on_stall: Callable[[Stall], None] = _do_nothing,
        times: WatchTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_stall = on_stall
        self._times = times or WatchTimes()
        self._clock = clock
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress watch", daemon=True)
        self._doing: str | None = None
        self._is_long = False
        self._has_begun = False
        self._longest: float | None = None
        self._since = clock()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    @contextmanager
    def watching(self, doing: str, *, begins_long: bool = False) -> Iterator[None]:
        """Expect progress within the block.

        Args:
            doing: What is done there, for messages.
            begins_long: Whether the first step is known to be long.
        """
        with self._lock:
            self._doing, self._is_long = doing, begins_long
            self._has_begun, self._longest = False, None
            self._restart()
        try:
            yield
        finally:
            with self._lock:
                self._doing, self._is_long = None, False

    @contextmanager
    def long_step(self, doing: str) -> Iterator[None]:
        """Expect a single long step within the block, be it part of watched work or not.

        Args:
            doing: What is done there, for messages.
        """
        with self._lock:
            before, self._doing, self._is_long = self._doing, doing, True
            self._restart()
        try:
            yield
        finally:
            with self._lock:
                self._doing, self._is_long = before, False
                self._restart()

    def progress(self) -> None:
        """Note that a step of the work is done: a batch, an image that was read."""
        with self._lock:
            now = self._clock()
            if self._has_begun:
                self._longest = max(self._longest or 0.0, now - self._since)
            self._has_begun, self._is_long = True, False
            self._since = now

    def look(self) -> Stall | None:
        """The stall there is at the moment, if there is one."""
        with self._lock:
            seconds = self._clock() - self._since
            if self._doing is None or seconds <= self._limit():
                return None
            return Stall(self._doing, seconds)

    def _limit(self) -> float:
        if self._is_long:
            return self._times.long_step
        if self._longest is None:
            return self._times.first
        return max(self._times.least, self._times.factor * self._longest)

    def _restart(self) -> None:
        self._since = self._clock()

    def _watch(self) -> None:
        while not self._closing.wait(self._times.glance):
            stall = self.look()
            if stall is not None:
                self._on_stall(stall)
                return
