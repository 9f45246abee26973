"""The request to stop: what Ctrl-C, a closed terminal or a scheduler mean to a worker."""

import signal
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class StopRequest:
    """Turns true at the first stop signal; a running trial then goes back to its queue."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def listen(self) -> None:
        """Take over the stop signals of this process."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._requested.set()

    def __call__(self) -> bool:
        """Whether a stop signal has come."""
        return self._requested.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the stop signal."""
        self._requested.wait(seconds)
