"""The request to stop: what Ctrl-C, a closed terminal or a scheduler mean to a worker."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
DEADLINE_SECONDS = 7.0
"""A worker that is still busy so long after the signal, in one large batch say, ends all the same;
a scheduler would kill it soon."""

_GLANCE_SECONDS = 0.05
_WATCH_SECONDS = 0.25


def _do_nothing() -> None:
    return None


class StopRequest:
    """Turns true at the first stop signal; a running trial then goes back to its queue.

    Attributes:
        at_deadline: Called from another thread just before a worker is ended that did not end by
            itself.
    """

    def __init__(self) -> None:
        # A plain flag: an Event's lock could be taken when a signal interrupts its own setting.
        self._requested = False
        self.at_deadline: Callable[[], None] = _do_nothing

    def listen(self) -> None:
        """Take over the stop signals of this process."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)
        # Started beforehand, as a handler may interrupt a thread's start.
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def _watch(self) -> None:
        """End this process if it doesn't end by itself after the signal."""
        while not self._requested:
            time.sleep(_WATCH_SECONDS)
        time.sleep(DEADLINE_SECONDS)
        log.warning("still busy %.0f s after the signal: ending as it is", DEADLINE_SECONDS)
        try:
            self.at_deadline()
        finally:
            os._exit(0)

    def __call__(self) -> bool:
        """Whether a stop signal has come."""
        return self._requested

    def wait(self, seconds: float) -> None:
        """Sleep, but hardly longer than until the stop signal."""
        deadline = time.monotonic() + seconds
        while not self._requested and time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
