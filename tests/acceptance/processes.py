"""What the acceptance tests share besides fixtures."""

import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple

Run = Callable[..., subprocess.CompletedProcess[str]]
Look = Callable[..., str]
Start = Callable[..., subprocess.Popen[str]]

PATIENCE_SECONDS = 120.0


class Dashboard(NamedTuple):
    """A running dashboard."""

    pid: int
    url: str
    """What it printed, the token included."""

    @property
    def server(self) -> str:
        """Its address up to the port."""
        return self.url.partition("/?")[0].rstrip("/")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
