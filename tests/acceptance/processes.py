"""What the acceptance tests share besides fixtures."""

import re
import socket
import subprocess
from collections.abc import Callable
from typing import NamedTuple

Run = Callable[..., subprocess.CompletedProcess[str]]
Look = Callable[..., str]
Start = Callable[..., subprocess.Popen[str]]

PATIENCE_SECONDS = 120.0


class Dashboard(NamedTuple):
    """A running dashboard."""

    pid: int
    printed: str
    url: str
    """Its address as it printed it, the token included."""

    @property
    def server(self) -> str:
        """Its address up to the port."""
        return self.url.partition("/?")[0].rstrip("/")


def start_dashboard(start: Start, *options: str) -> Dashboard:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("dashboard", "--port", str(port), *options)
    assert process.stdout is not None
    printed = ""
    while (url := re.search(r"http://\S+", printed)) is None:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return Dashboard(process.pid, printed, url[0])
