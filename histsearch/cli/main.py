"""The ``histsearch`` command.

Modules that take long to import (torch, optuna, sqlalchemy) are imported inside the commands that
use them, so that ``histsearch --help`` answers at once.
"""

import io
import sys
from typing import Annotated

import typer

import histsearch
from histsearch.cli import (
    claims,
    compare,
    dashboard,
    data,
    database,
    evaluate,
    export,
    retraining,
    status,
    study,
    train,
    worker,
)
from histsearch.cli.logs import show_warnings_plainly
from histsearch.cli.output import echo, echo_error
from histsearch.exceptions import HistsearchError

EXIT_CODE = 2

app = typer.Typer(
    name="histsearch",
    help="Hyperparameter search service for the HIST loss in deep metric learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(study.app, name="study")
app.command("compare")(compare.compare)
app.command("worker")(worker.worker)
app.command("status")(status.status)
app.command("train")(train.train)
app.command("retrain")(retraining.retrain)
app.command("report")(retraining.report)
app.command("claims")(claims.claims)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("dashboard")(dashboard.dashboard)
app.add_typer(data.app, name="data")
app.add_typer(database.app, name="db")


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"histsearch {histsearch.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hyperparameter search service for the HIST loss in deep metric learning."""


def main() -> None:
    """Run the command; what a user can mend is one message and exit code 2, no traceback."""
    show_warnings_plainly()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of another encoding, or a name that isn't UTF-8, is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except HistsearchError as error:
        echo_error(error)
        sys.exit(EXIT_CODE)
