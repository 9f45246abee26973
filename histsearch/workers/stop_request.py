"""The request to stop: what Ctrl-C, a closed terminal or a scheduler mean to a worker."""

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from histsearch.processes import end_at_once
from histsearch.workers import exit_codes

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
DEADLINE_SECONDS = 6.5
"""A worker that is still busy so long after the signal, in one large batch say, ends all the same;
a scheduler would kill it soon."""

FAREWELL_SECONDS = 1.5
"""What it may take then to give its trial back."""

_LAST_WORDS_SECONDS = 0.5
_GLANCE_SECONDS = 0.05


def _do_nothing() -> None:
    return None


class StopRequest:
    """Turns true at the first stop signal; a running trial then goes back to its queue.

    Attributes:
        leaves_work: Whether a worker that ended now would leave work undone.
        at_deadline: Called from another thread just before a worker is ended that did not end by
            itself.
    """

    def __init__(self) -> None:
        # A plain flag: an Event's lock could be taken when a signal interrupts its own setting.
        self._requested = False
        self.leaves_work = False
        self.at_deadline: Callable[[], None] = _do_nothing

    def listen(self) -> None:
        """Take over the stop signals of this process; to be called from its main thread."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # Python runs a handler once the main thread is back from the call it is in, which may be a
        # batch of minutes; the number of a signal is in the pipe at once.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # A signal to a loader process alone is none to its parent.
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)
        # Started beforehand, as a handler may interrupt a thread's start.
        threading.Thread(target=self._watch, args=(reader,), name="deadline", daemon=True).start()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def _watch(self, signals: int) -> None:
        """End this process if it doesn't end by itself after a signal."""
        while not self._requested:
            if any(number in STOP_SIGNALS for number in os.read(signals, select.PIPE_BUF)):
                self._requested = True
        time.sleep(DEADLINE_SECONDS)
        try:
            # Another thread, as the log's pipe may be full and this one mustn't wait for it.
            farewell = threading.Thread(target=self._say_farewell, name="farewell", daemon=True)
            farewell.start()
            farewell.join(FAREWELL_SECONDS + _LAST_WORDS_SECONDS)
        finally:
            end_at_once(self.exit_code)

    def _say_farewell(self) -> None:
        self.at_deadline()
        log.warning("still busy %g s after the signal: ended as it is", DEADLINE_SECONDS)
        logging.shutdown()

    def __call__(self) -> bool:
        """Whether a stop signal has come."""
        return self._requested

    @property
    def exit_code(self) -> int:
        """What a worker ends with that ends well now."""
        return exit_codes.WORK_LEFT if self._requested and self.leaves_work else 0

    def wait(self, seconds: float) -> None:
        """Sleep, but hardly longer than until the stop signal."""
        deadline = time.monotonic() + seconds
        while not self._requested and time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
