from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
import typer
from typer.main import get_command

from histsearch.cli.worker import WorkerOptions, worker


def options_of(*arguments: str) -> WorkerOptions:
    """What the command is called with, its callback left out."""
    app = typer.Typer()
    called: list[WorkerOptions] = []

    @app.command()
    @wraps(worker)
    def note(**given: Any) -> None:
        called.append(WorkerOptions(**given))

    get_command(app)(list(arguments), standalone_mode=False)
    (options,) = called
    return options


@pytest.mark.parametrize(
    "given",
    [
        ["--drain", "--study", "a", "--study", "--b", "--threads", "3", "--loaders", "0"],
        ["--slots", "3", "--data", "a folder", "--checkpoints", "s3://bucket", "--heartbeat", ".1"],
        ["--checkpoint-every", "5", "--database-patience", "7", "--log-format", "json"],
        [],
    ],
)
def test_a_supervisors_worker_gets_the_options_that_were_given(given: list[str]) -> None:
    whole = options_of("--gpu", "all", "--storage", "postgresql://ann:secret@db/x", *given)
    arguments = whole.arguments(place=1)
    again = options_of("--gpu", "GPU-1", *arguments)
    assert replace(again, context=whole.context) == replace(whole, gpu="GPU-1", storage=None)
    assert "secret" not in " ".join(arguments)


def test_each_worker_of_a_supervisor_has_a_metrics_port_of_its_own() -> None:
    given = ("--gpu", "0,1", "--metrics-port", "9100", "--metrics-address", "0.0.0.0")  # noqa: S104
    assert [options_of(*given).arguments(place) for place in (0, 1)] == [
        ["--metrics-address=0.0.0.0", "--metrics-port=9100"],
        ["--metrics-address=0.0.0.0", "--metrics-port=9101"],
    ]
