import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "install.sh"
VENV = """#!/bin/sh
mkdir -p "$3/bin" && cp {pip} "$3/bin/pip"
"""
# Notes how it was called and installs nothing, until it is let go.
PIP = """#!/bin/sh
echo "$*" >> {folder}/calls
while [ ! -e {folder}/go ]; do sleep 0.05; done
exit $(cat {folder}/go)
"""


def executable(file: Path, script: str) -> Path:
    file.write_text(script)
    file.chmod(0o755)
    return file


@pytest.fixture
def install(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The installation, which has no terminal and a line of progress a second."""
    pip = executable(tmp_path / "pip", PIP.format(folder=tmp_path))
    python = executable(tmp_path / "python", VENV.format(pip=pip))
    with subprocess.Popen(
        ["sh", SCRIPT, python, tmp_path / "venv", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": os.environ["PATH"]},
    ) as process:
        yield process
        process.kill()


def test_an_installation_without_a_terminal_says_now_and_then_that_it_goes_on(
    install: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert install.stdout is not None
    assert "GB to download" in install.stdout.readline()
    install.stdout.readline()
    assert "still installing after 1 s: " in install.stdout.readline()
    assert "still installing after 2 s: " in install.stdout.readline()
    (tmp_path / "go").write_text("0")
    assert install.stdout.read().splitlines()[-1] == f"installed into {tmp_path}/venv"
    assert install.wait() == 0
    assert "--quiet" in (tmp_path / "calls").read_text()


def test_an_installation_that_fails_says_nothing_else(
    install: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert install.stdout is not None
    (tmp_path / "go").write_text("3")
    assert "installed into" not in install.stdout.read()
    assert install.wait() == 3
