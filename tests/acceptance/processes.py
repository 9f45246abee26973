"""What the acceptance tests share besides fixtures."""

import subprocess
import time
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
Look = Callable[..., str]
Start = Callable[..., subprocess.Popen[str]]

PATIENCE_SECONDS = 120.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
