import re

import pytest
from typer.testing import CliRunner

from histsearch.cli.main import app


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        (
            [],
            "compare worker status train retrain report claims "
            "evaluate export dashboard study data db",
        ),
        (["study"], "create list show trials best enqueue set pause resume export delete"),
        (["data"], "prepare verify list states cache"),
        (["data", "cache"], "build info clear"),
        (["db"], "url start stop status upgrade"),
    ],
)
def test_help_names_every_command(group: list[str], commands: str) -> None:
    _, listing = CliRunner().invoke(app, [*group, "--help"]).stdout.split("Commands:\n")
    assert set(re.findall(r"^  (\S+)", listing, flags=re.MULTILINE)) == set(commands.split())
