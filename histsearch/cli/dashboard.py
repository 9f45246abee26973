"""``histsearch dashboard``: optuna-dashboard on the studies."""

from typing import Annotated

import typer

from histsearch.cli.options import StorageOption, open_storage


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    storage: StorageOption = None,
) -> None:
    """Serve optuna-dashboard, without putting the storage's password on a command line."""
    import optuna_dashboard

    opened = open_storage(storage)
    typer.echo(f"optuna-dashboard on http://{host}:{port}/ (Ctrl-C ends it)")
    optuna_dashboard.run_server(opened.optuna, host=host, port=port)
