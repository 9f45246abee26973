"""Waiting in tests: for a condition, within a limit."""

import time
from collections.abc import Callable

_LIMIT_SECONDS = 60.0


def wait_until(condition: Callable[[], bool], what: str = "a condition") -> None:
    """Wait for a condition, for as long as a busy machine may need."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
