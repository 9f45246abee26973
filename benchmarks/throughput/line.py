"""A line to the embedded PostgreSQL that counts what is asked through it, and can be slow.

Every query that reaches the server is one round trip for whoever waits for its answer.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

_SOCKET = ".s.PGSQL.5432"
_CHUNK_BYTES = 65536
_LENGTH_BYTES = 4
_QUERY = b"Q"  # what psycopg2 sends alone


class Line:
    """What went through a line.

    Attributes:
        url: The database by way of it.
        queries: The texts of all queries so far, in order of arrival.
        connections: How many were opened so far.
        most_connections: How many were open at once at most.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.queries: list[str] = []
        self.connections = 0
        self.most_connections = 0
        self._open = 0

    def note_opened(self) -> None:
        """Count a connection."""
        self.connections += 1
        self._open += 1
        self.most_connections = max(self.most_connections, self._open)

    def note_closed(self) -> None:
        """Count one less."""
        self._open -= 1


@contextmanager
def line_to(database: URL, folder: Path, round_trip_seconds: float = 0.0) -> Iterator[Line]:
    """A line to a database of the embedded server, for the time of the block.

    Args:
        database: The database.
        folder: Where the line's socket is to lie.
        round_trip_seconds: How long an answer takes at least.
    """
    host = database.query["host"]
    assert isinstance(host, str)
    # Its other end isn't the server's account, which the URL asks for.
    url = database.difference_update_query(["requirepeer"])
    line = Line(url.update_query_dict({"host": str(folder)}))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    relay = _Relay(line, f"{host}/{_SOCKET}", round_trip_seconds / 2)
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_unix_server(relay.serve, folder / _SOCKET), loop
    ).result()
    try:
        yield line
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    serving = asyncio.all_tasks() - {asyncio.current_task()}
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


class _Relay:
    def __init__(self, line: Line, there: str, delay_seconds: float) -> None:
        self._line = line
        self._there = there
        self._delay_seconds = delay_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._line.note_opened()
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._there)
            queries = _Queries(self._line.queries.append)
            await asyncio.gather(
                self._copy(reader, server_writer, queries.take),
                self._copy(server_reader, writer, lambda _: None),
                return_exceptions=True,
            )
        except asyncio.CancelledError:
            # The line is closed under a connection; asyncio's streams would print it as a fault.
            writer.close()
        finally:
            self._line.note_closed()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        note: Callable[[bytes], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        while content := await reader.read(_CHUNK_BYTES):
            note(content)
            loop.call_later(self._delay_seconds, writer.write, content)
        loop.call_later(self._delay_seconds, writer.close)


class _Queries:
    """The queries in what a client sends, however it is cut into pieces."""

    def __init__(self, found: Callable[[str], None]) -> None:
        self._found = found
        self._pending = b""
        self._has_begun = False

    def take(self, content: bytes) -> None:
        self._pending += content
        while True:
            kind = 1 if self._has_begun else 0  # the first message has no letter for its kind
            head = self._pending[kind : kind + _LENGTH_BYTES]
            end = kind + int.from_bytes(head)
            if len(head) < _LENGTH_BYTES or len(self._pending) < end:
                return
            message, self._pending = self._pending[:end], self._pending[end:]
            if self._has_begun and message[:1] == _QUERY:
                self._found(message[kind + _LENGTH_BYTES : -1].decode(errors="replace"))
            self._has_begun = True
