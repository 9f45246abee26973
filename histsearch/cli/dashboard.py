"""``histsearch dashboard``: optuna-dashboard on the studies."""

import time
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Annotated
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer

from histsearch.cli.options import StorageOption, open_to_change
from histsearch.cli.output import echo
from histsearch.exceptions import HistsearchError, NoTablesError

if TYPE_CHECKING:
    from histsearch.database.storage import Storage

_LOOK_SECONDS = 2.0


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; a browser that holds a connection open blocks no other."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: the page polls every few seconds."""


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
    storage: StorageOption = None,
) -> None:
    """Serve optuna-dashboard, without putting the storage's password on a command line.

    It makes no tables, and waits for the first study in an empty database.
    """
    import optuna_dashboard

    try:
        opened = open_to_change(storage)
    except NoTablesError as error:
        echo(f"{error}; waiting for them", err=True)
        opened = _wait_for_tables(storage)
    app = optuna_dashboard.wsgi(opened.optuna)
    try:
        server = make_server(host, port, app, _ThreadingServer, _QuietHandler)
    except OSError as error:
        raise HistsearchError(
            f"can't listen on {host}:{port} ({error.strerror}); choose another with --port"
        ) from error
    echo(f"optuna-dashboard on http://{host}:{port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _wait_for_tables(storage: str | None) -> "Storage":
    while True:
        time.sleep(_LOOK_SECONDS)
        with suppress(NoTablesError):
            return open_to_change(storage)
