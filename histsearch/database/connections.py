"""Connections to PostgreSQL whose every wait has a limit, and lets signals in meanwhile.

libpq alone would wait for ever for a server that holds its connections and says nothing.
"""

import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, connection, set_wait_callback
from psycopg2.extras import wait_select

ANSWER_SECONDS = 30.0
"""Longest wait for an answer; a server that gives none counts as gone."""

HURRIED_ANSWER_SECONDS = 2.0
_GLANCE_SECONDS = 0.25

# A cut network is noticed within about a minute, also while nothing is being asked.
_ARGUMENTS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    # Whatever PGCLIENTENCODING says. A database of no encoding (SQL_ASCII) takes it as well.
    "client_encoding": "utf8",
}


def connect_arguments(should_hurry: Callable[[], bool]) -> dict[str, Any]:
    """What an engine is to connect with, so that its connections wait with a limit.

    A wait past the limit breaks the connection, with psycopg2's error.

    Args:
        should_hurry: Asked while waiting; from when it is true, a wait may take little longer.
    """
    # psycopg2 has one for the whole process; it asks each connection.
    set_wait_callback(_wait)
    return {**_ARGUMENTS, "connection_factory": partial(_LimitedConnection, should_hurry)}


class _LimitedConnection(connection):
    def __init__(self, should_hurry: Callable[[], bool], *arguments: Any) -> None:
        self._should_hurry = should_hurry
        super().__init__(*arguments)  # which waits already

    def wait(self) -> None:
        """Wait for PostgreSQL's answer.

        Raises:
            psycopg2.OperationalError: It doesn't come in time.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while (state := self.poll()) != POLL_OK:
            if self._should_hurry():
                deadline = min(deadline, time.monotonic() + HURRIED_ANSWER_SECONDS)
            if time.monotonic() > deadline:
                raise psycopg2.OperationalError("it doesn't answer")
            ready = select.poll()
            ready.register(self.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            ready.poll(_GLANCE_SECONDS * 1000)


def _wait(waiting: connection) -> None:
    if isinstance(waiting, _LimitedConnection):
        waiting.wait()
    else:
        wait_select(waiting)  # another program's in this process
