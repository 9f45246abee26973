import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from histsearch.cli.main import app

HEAVY = {"torch", "torchvision", "optuna", "sqlalchemy", "pydantic", "numpy"}


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import json, sys, histsearch.cli.main; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    modules = set(json.loads(loaded.stdout))
    assert "histsearch.cli.main" in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ([], "worker status train retrain report evaluate export dashboard study data db"),
        (["study"], "create list show best enqueue set pause resume export delete"),
        (["data"], "prepare verify list states"),
        (["db"], "url start stop status upgrade"),
    ],
)
def test_help_names_every_command(group: list[str], commands: str) -> None:
    _, listing = CliRunner().invoke(app, [*group, "--help"]).stdout.split("Commands:\n")
    assert set(re.findall(r"^  (\S+)", listing, flags=re.MULTILINE)) == set(commands.split())
