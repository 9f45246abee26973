"""The test server's socket, for users who may not reach the folder that it lies in."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

_SOCKET = ".s.PGSQL.5432"

_PROGRAM = """
import asyncio, os, sys
there, here = sys.argv[1:]

async def copy(reader, writer):
    while content := await reader.read(65536):
        writer.write(content)
        await writer.drain()
    writer.close()

async def relay(reader, writer):
    server_reader, server_writer = await asyncio.open_unix_connection(there)
    both = copy(reader, server_writer), copy(server_reader, writer)
    await asyncio.gather(*both, return_exceptions=True)

async def main():
    server = await asyncio.start_unix_server(relay, here)
    os.chmod(here, 0o666)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def relayed(database: URL, folder: Path) -> Iterator[URL]:
    """The URL of a database by way of a socket in a folder, which every user may use."""
    host = database.query["host"]
    assert isinstance(host, str)
    command = [sys.executable, "-c", _PROGRAM, f"{host}/{_SOCKET}", f"{folder}/{_SOCKET}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
        try:
            assert relay.stdout is not None
            assert relay.stdout.readline() == "ready\n"
            # The relay isn't the server's account, which the URL asks for.
            yield database.difference_update_query(["requirepeer"]).update_query_dict(
                {"host": str(folder)}
            )
        finally:
            relay.kill()
