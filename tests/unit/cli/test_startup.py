import json
import re
import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "optuna", "sqlalchemy", "pydantic", "numpy"}


def run_python(*arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    loaded = run_python(
        "-c", "import json, sys, histsearch.cli.main; print(json.dumps(list(sys.modules)))"
    )
    modules = set(json.loads(loaded))
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
    _, listing = run_python("-m", "histsearch", *group, "--help").split("Commands:\n")
    assert set(re.findall(r"^  (\S+)", listing, flags=re.MULTILINE)) == set(commands.split())
