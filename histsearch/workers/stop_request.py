"""The request to stop: what Ctrl-C, a closed terminal or a scheduler mean to a worker."""

import signal
import time
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_GLANCE_SECONDS = 0.05


class StopRequest:
    """Turns true at the first stop signal; a running trial then goes back to its queue."""

    def __init__(self) -> None:
        # A plain flag: an Event's lock could be taken when a signal interrupts its own setting.
        self._requested = False

    def listen(self) -> None:
        """Take over the stop signals of this process."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def __call__(self) -> bool:
        """Whether a stop signal has come."""
        return self._requested

    def wait(self, seconds: float) -> None:
        """Sleep, but hardly longer than until the stop signal."""
        deadline = time.monotonic() + seconds
        while not self._requested and time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
