"""``histsearch dashboard``: optuna-dashboard on the studies."""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import StorageOption, open_to_change
from histsearch.cli.output import echo
from histsearch.exceptions import NoTablesError

if TYPE_CHECKING:
    from histsearch.dashboard.server import DashboardServer
    from histsearch.database.storage import Storage

_LOOK_SECONDS = 2.0


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another name or address by which browsers reach the dashboard. May be given "
            "several times.",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Refuse every change, notes included.")
    ] = False,
    storage: StorageOption = None,
) -> None:
    """Serve optuna-dashboard to those who have its printed address.

    The address holds a token, which HISTSEARCH_DASHBOARD_TOKEN sets and which is random otherwise.
    Studies are shown; of what can be changed there, notes alone are. In an empty database it waits
    for the first study.
    """
    import optuna_dashboard

    from histsearch.dashboard.access_token import take_access_token
    from histsearch.dashboard.guard import Guard
    from histsearch.dashboard.hosts import LOOPBACK_NAMES, checked, normalised
    from histsearch.dashboard.page import showing_refusals
    from histsearch.dashboard.server import DashboardServer

    token = take_access_token(os.environ)
    named = [checked(name) for name in allowed_host or ()]
    server = DashboardServer(host, port)
    app = showing_refusals(optuna_dashboard.wsgi(_opened(storage).optuna))
    names = {*LOOPBACK_NAMES, normalised(host), normalised(server.address), *named}
    server.set_app(Guard(app, token, names, read_only=read_only))
    _warn_of_strangers(server)
    echo(f"optuna-dashboard on {server.url}?{token.query} (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _warn_of_strangers(server: "DashboardServer") -> None:
    if server.is_local:
        return
    echo(
        f"warning: whoever reaches port {server.server_port} of {server.address} over the network "
        "can try tokens, and nothing is encrypted: those on the way can read the token; safer is "
        "--host 127.0.0.1 with a tunnel, ssh -L",
        err=True,
    )


def _opened(option: str | None) -> "Storage":
    """The storage, once it has tables: the dashboard makes none."""
    try:
        return open_to_change(option)
    except NoTablesError as error:
        echo(f"{error}; waiting for them", err=True)
    while True:
        time.sleep(_LOOK_SECONDS)
        with suppress(NoTablesError):
            return open_to_change(option)
