"""The time that a process was awake: without that for which it, or its machine, was suspended."""

import logging
import threading
import time
from typing import Self

log = logging.getLogger(__name__)

LEAST_SECONDS = 5.0
"""A shorter gap is charged: a busy machine may keep a thread waiting, though never for so long."""

_TICK_SECONDS = 0.5

# It goes on while the machine sleeps, which Linux's monotonic clock doesn't.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class AwakeClock:
    """Seconds that pass only while this process is awake.

    A thread of its own reads the clock twice a second, whatever the others do. So a long gap
    between two readings is a suspension (SIGSTOP, a frozen container, a machine that sleeps),
    unless another thread held Python's lock meanwhile. The one that trains may, in a slow batch,
    and computes then: the CPU time of the thread that made the clock isn't left out of a gap.

    Call it for the seconds, within the ``with`` block, from any thread.
    """

    def __init__(self) -> None:
        self._cpu_clock = _cpu_clock_of_this_thread()
        self._reading = threading.Lock()
        self._read_at = time.clock_gettime(_CLOCK)
        self._computed = time.clock_gettime(self._cpu_clock)
        self._suspended = 0.0
        self._ended = threading.Event()
        self._ticks = threading.Thread(target=self._tick, name="awake clock", daemon=True)

    def __enter__(self) -> Self:
        self._ticks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticks.join()

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            self()

    def __call__(self) -> float:
        """Seconds since a moment of the past, suspensions left out."""
        with self._reading:
            now, computed = time.clock_gettime(_CLOCK), time.clock_gettime(self._cpu_clock)
            awake = max(_TICK_SECONDS, computed - self._computed)
            gap = now - self._read_at - awake
            self._read_at, self._computed = now, computed
            if gap >= LEAST_SECONDS:
                self._suspended += gap
            seconds = now - self._suspended
        if gap >= LEAST_SECONDS:
            log.warning("suspended for %.0f s: not charged", gap)
        return seconds


def _cpu_clock_of_this_thread() -> int:
    # Where there is none (macOS), that of all threads, which leaves less out.
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.CLOCK_PROCESS_CPUTIME_ID
    return time.pthread_getcpuclockid(threading.get_ident())
