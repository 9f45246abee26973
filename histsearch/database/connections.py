"""Connections to PostgreSQL whose every wait has a limit, and that wait as seldom as can be.

libpq alone would wait for ever for a server that holds its connections and says nothing, and
psycopg2 would wait for an answer to the BEGIN of every transaction.
"""

import select
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
import sqlalchemy
from psycopg2.extensions import (
    ISOLATION_LEVEL_AUTOCOMMIT,
    POLL_OK,
    POLL_READ,
    TRANSACTION_STATUS_IDLE,
    connection,
    cursor,
    set_wait_callback,
)
from psycopg2.extras import wait_select
from psycopg2.sql import Composable
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DisconnectionError

ANSWER_SECONDS = 30.0
"""Longest wait for an answer; a server that gives none counts as gone."""

HURRIED_ANSWER_SECONDS = 2.0
_GLANCE_SECONDS = 0.25

MOST_CONNECTIONS = 3
"""Of one process at a time; it keeps one of them while it asks nothing."""

# A cut network is noticed within about a minute, also while nothing is being asked.
_ARGUMENTS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    # Whatever PGCLIENTENCODING says. A database of no encoding (SQL_ASCII) takes it as well.
    "client_encoding": "utf8",
}


@dataclass(frozen=True)
class Waits:
    """How long a process and its server wait for each other, asked whenever they do.

    Attributes:
        should_hurry: From when it is true, a wait for an answer may take little longer.
        pause_seconds: PostgreSQL ends a transaction that pauses for longer between two statements.
    """

    should_hurry: Callable[[], bool]
    pause_seconds: Callable[[], float]


def connect_arguments(waits: Waits, *, reads: bool = False) -> dict[str, Any]:
    """What an engine is to connect with, so that its connections wait with a limit.

    A wait past the limit breaks the connection, with psycopg2's error.

    Args:
        waits: The limits.
        reads: Whether PostgreSQL is to refuse every change.
    """
    # psycopg2 has one for the whole process; it asks each connection.
    set_wait_callback(_wait)
    return {**_ARGUMENTS, "connection_factory": partial(_Connection, waits, reads)}


def connect(url: URL, arguments: Mapping[str, Any]) -> Engine:
    """An engine that keeps one connection, and opens few more when it needs them at once.

    Args:
        url: The database.
        arguments: As from `connect_arguments`.
    """
    engine = sqlalchemy.create_engine(
        url,
        pool_size=1,
        max_overflow=MOST_CONNECTIONS - 1,
        connect_args=dict(arguments),
        use_native_hstore=False,  # which each connection would ask for
    )
    event.listen(engine, "checkout", _refuse_broken)
    return engine


def _refuse_broken(dbapi_connection: "_Connection", *_: object) -> None:
    """Have the pool replace a connection that the server has closed, without asking it."""
    if dbapi_connection.is_spoken_to():
        raise DisconnectionError


class _Connection(connection):
    """A connection that begins a transaction and says how long it may pause with its first query.

    Each transaction says so for itself, as a pooler may give each another session.
    """

    def __init__(self, waits: Waits, reads: bool, *arguments: Any) -> None:
        self._waits = waits
        self._reads = reads
        self._begins = True
        super().__init__(*arguments)  # which waits already
        self.set_session(autocommit=True)  # psycopg2 is to begin nothing itself
        self.cursor_factory = _Cursor

    @property
    def autocommit(self) -> bool:
        """Whether a query is a transaction of its own."""
        return not self._begins

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        # A query that begins nothing could change something.
        self._begins = self._reads or not value

    def set_isolation_level(self, level: int | None) -> None:
        """Set whether queries are transactions of their own; all others are PostgreSQL's usual."""
        self.autocommit = level == ISOLATION_LEVEL_AUTOCOMMIT

    def opening(self) -> str:
        """What is to go before the next query."""
        if not self._begins or self._is_within:
            return ""
        begin = "BEGIN READ ONLY" if self._reads else "BEGIN"
        milliseconds = f"{1000 * self._waits.pause_seconds():.0f}"
        return f"{begin}; SET LOCAL idle_in_transaction_session_timeout = {milliseconds}; "

    @property
    def _is_within(self) -> bool:
        return self.get_transaction_status() != TRANSACTION_STATUS_IDLE

    def commit(self) -> None:
        """End the transaction, if one has begun."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if one has begun."""
        self._end("ROLLBACK")

    def _end(self, statement: str) -> None:
        if self.closed:
            raise psycopg2.InterfaceError("connection already closed")
        if self._is_within:
            with self.cursor() as ending:
                ending.execute(statement)

    def is_spoken_to(self) -> bool:
        """Whether there is something to read although nothing was asked: the server's farewell."""
        ready = select.poll()
        ready.register(self.fileno(), select.POLLIN)
        return bool(ready.poll(0))

    def wait(self) -> None:
        """Wait for PostgreSQL's answer.

        Raises:
            psycopg2.OperationalError: It doesn't come in time.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while (state := self.poll()) != POLL_OK:
            if self._waits.should_hurry():
                deadline = min(deadline, time.monotonic() + HURRIED_ANSWER_SECONDS)
            if time.monotonic() > deadline:
                raise psycopg2.OperationalError("it doesn't answer")
            ready = select.poll()
            ready.register(self.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            ready.poll(_GLANCE_SECONDS * 1000)


_Query = str | bytes | Composable
_Values = Sequence[Any] | Mapping[str, Any] | None


class _Cursor(cursor):
    connection: _Connection

    def execute(self, query: _Query, vars: _Values = None) -> None:  # noqa: A002 - psycopg2's name
        """Send a query; its answer is that of the last statement in it."""
        if isinstance(query, str):
            query = self.connection.opening() + query
        else:
            self._open()
        super().execute(query, vars)

    def executemany(self, query: _Query, vars_list: Iterable[_Values]) -> None:
        """Send a query once for each set of values."""
        self._open()
        super().executemany(query, vars_list)

    def _open(self) -> None:
        if opening := self.connection.opening():
            super().execute(opening)


def _wait(waiting: connection) -> None:
    if isinstance(waiting, _Connection):
        waiting.wait()
    else:
        wait_select(waiting)  # another program's in this process
