"""The benchmark for GPUs, rehearsed on a CPU where packages are missing that it can do without."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

LIMIT_SECONDS = 240
PROGRAM = """
import runpy, sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *arguments):
        if name.partition(".")[0] not in %r:
            return self.finder.find_spec(name, *arguments)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
sys.argv[0] = "gpu"
runpy.run_module("benchmarks.gpu", run_name="__main__", alter_sys=True)
"""
MISSING = {
    *("alembic", "matplotlib", "optuna", "prometheus_client", "psycopg2", "rich", "scipy"),
    *("sklearn", "sqlalchemy", "typer"),
}


def rehearse(out: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    """What it prints, and the lines that it writes."""
    rehearsed = ("--device", "cpu", "--tiny", "--out", str(out), *options)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % MISSING, *rehearsed],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (out / "gpu.jsonl").read_text().splitlines()
    return done.stdout, [json.loads(line) for line in lines]


def test_sections_print_the_tables_that_they_write(tmp_path: Path) -> None:
    sections = ("pipeline", "evaluation", "saving", "trial")
    printed, (about, *rows) = rehearse(tmp_path / "results", "--sections", *sections)
    assert {"date", "device", "torch", "command"} <= about.keys()
    assert "| from | loader processes | training images/s | evaluation images/s |" in printed
    found = {name: [row for row in rows if row["section"] == name] for name in sections}
    assert {name: len(of_it) for name, of_it in found.items()} == {
        "pipeline": 3,
        "evaluation": 4,
        "saving": 2,
        "trial": 3,
    }
    assert [row["from"] for row in found["pipeline"]] == [
        "image files",
        "decoded images",
        "the device",
    ]
    for row in rows:
        cells = [str(value) for name, value in row.items() if name != "section"]
        assert "| " + " | ".join(cells) + " |" in printed
        assert all(value >= 0 for value in row.values() if isinstance(value, int | float))


def test_lines_that_there_is_no_time_for_are_counted(tmp_path: Path) -> None:
    printed, (_, *rows) = rehearse(tmp_path, "--sections", "step", "--seconds", "6.4")
    assert rows, "there is time for some"
    assert f"lines left out for want of time: {24 - len(rows)}\n" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_how_to_rehearse(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "no GPU is found; --device cpu --tiny rehearses what would be measured\n"
    )
