"""``histsearch db``: the PostgreSQL that holds the studies."""

from typing import Annotated

import typer

from histsearch.cli.options import StorageOption, open_to_change, open_to_read
from histsearch.cli.output import echo
from histsearch.wording import counted

app = typer.Typer(help="The PostgreSQL that holds the studies.", no_args_is_help=True)


@app.command()
def url(storage: StorageOption = None) -> None:
    """Print the storage's URL, a password shown as ***."""
    from histsearch.database.storage import shown, storage_url

    echo(shown(storage_url(storage)))


@app.command()
def start(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Use a folder that another host left behind, because its server crashed.",
        ),
    ] = False,
) -> None:
    """Start the embedded PostgreSQL, unless it runs already."""
    from histsearch.database.embedded_postgres import server

    server.start(take_over=take_over)
    echo(f"the embedded PostgreSQL runs in {server.find_folder()}")


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL; studies stay on disk."""
    from histsearch.database.embedded_postgres import server

    stopped = server.stop()
    echo("stopped" if stopped else "the embedded PostgreSQL wasn't running")


@app.command()
def status(storage: StorageOption = None) -> None:
    """Tell which storage is in use and whether it answers."""
    from histsearch.database.embedded_postgres import owner, server
    from histsearch.database.faults import place
    from histsearch.database.storage import named_storage
    from histsearch.studies.catalog import list_studies

    named = named_storage(storage)
    if not named and not server.is_running():
        owner.check(server.find_folder())
        echo(f"embedded PostgreSQL in {server.find_folder()}: not running; it starts when needed")
        return
    opened = open_to_read(storage)
    name = (
        f"PostgreSQL at {place(opened.url)}"
        if named
        else f"embedded PostgreSQL in {server.find_folder()}"
    )
    echo(f"{name}: running, {counted(len(list_studies(opened)), 'study')}")


@app.command()
def upgrade(storage: StorageOption = None) -> None:
    """Bring the tables of an older histsearch up to date; it refuses them from then on."""
    from histsearch.database.faults import database_at

    echo(f"the tables in {database_at(open_to_change(storage).url)} are up to date")
