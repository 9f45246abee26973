"""The program as a user starts it: processes of their own, an environment of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from typer.testing import CliRunner

from histsearch.cli.main import app
from tests.acceptance.processes import (
    PATIENCE_SECONDS,
    Dashboard,
    Look,
    Run,
    Start,
    start_dashboard,
)


@pytest.fixture
def environment(
    database: URL, data_dir: Path, histsearch_home: Path, tmp_path: Path
) -> dict[str, str]:
    return {
        **os.environ,
        "HISTSEARCH_HOME": str(histsearch_home),
        "HISTSEARCH_STORAGE": database.render_as_string(hide_password=False),
        "HISTSEARCH_DATA": str(data_dir),
        "HISTSEARCH_CHECKPOINTS": str(tmp_path / "checkpoints"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def run(environment: Mapping[str, str]) -> Run:
    """Run ``histsearch`` to its end."""

    def run_to_end(*arguments: str, code: int = 0, **changes: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "histsearch", *arguments],
            env={**environment, **changes},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run_to_end


@pytest.fixture
def look(environment: Mapping[str, str]) -> Look:
    """What a command prints that only reads, run within this process: a start takes seconds."""

    def printed(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return printed


@pytest.fixture
def start(environment: Mapping[str, str]) -> Iterator[Start]:
    """Start ``histsearch`` in the background; what still runs is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start_in_background(*arguments: str, program: str | None = None) -> subprocess.Popen[str]:
        how = ["-m", "histsearch"] if program is None else ["-c", program]
        process = subprocess.Popen(
            [sys.executable, *how, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_in_background
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def dashboard(start: Start) -> Dashboard:
    return start_dashboard(start)
