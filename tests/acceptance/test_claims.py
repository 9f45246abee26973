"""The claims of the paper as a user runs them: a folder of tiny grids, stopped and gone on with."""

import csv
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.processes import Look, Run, Start
from tests.pages import read_page
from tests.stripes import stripes_space

CLAIM_2 = "claim2-hgnn_layers"
TABLE_4 = "table4-distance"


def toml(name: str, search: Mapping[str, object]) -> str:
    """A grid over ``stripes`` of one epoch a run, each point with two seeds."""
    kept = {key: value for key, value in stripes_space()["fixed"].items() if key not in search}
    fixed = "\n".join(f"{key} = {json.dumps(value)}" for key, value in kept.items())
    searched = "\n".join(f"{key} = {json.dumps(value)}" for key, value in search.items())
    return f"""
name = "{name}"
dataset = "folder:stripes"
backbone = "conv4"
weights = "none"
epochs = 1
trials = 4
sampler = {{ name = "grid", seeds = 2 }}
[search]
{searched}
[fixed]
{fixed}
[protocol]
validation = "test"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the grids of claim 2 and of Table 4."""
    made = tmp_path / "grids"
    made.mkdir()
    layers = {"hgnn_layers": [1, 2]}
    (made / f"{CLAIM_2}.toml").write_text(toml("tiny-layers", layers))
    distances = {"distance": ["mahalanobis", "cosine"]}
    (made / f"{TABLE_4}.toml").write_text(toml("tiny-distances", distances))
    return made


def test_claims_are_run_judged_and_gone_on_with(
    run: Run, start: Start, look: Look, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    command = ("claims", str(folder), "--out", str(out))
    running = start(*command, "--run", "--device", "cpu")
    assert running.stdout is not None
    lines: list[str] = []
    while not any("epoch 1/1" in line for line in lines):
        line = running.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    running.send_signal(signal.SIGINT)
    log = "".join(lines) + running.communicate()[0]
    assert running.returncode == 75, log
    assert "tiny-layers: created, 4 runs" in log
    assert not (out / "claims.html").exists()

    done = run(*command, "--run", "--device", "cpu")
    assert "tiny-layers: exists, 4 runs" in done.stdout
    assert "Claim 2 is undecided." in done.stdout
    assert (
        "L 1 (2), L 2 (2), L 3 (0), L 4 (0) and L 5 (0) have fewer than 3 complete runs."
        in done.stdout
    )
    written = json.loads((out / "claims.json").read_text())
    for stem in (CLAIM_2, TABLE_4):
        grid = written["grids"][stem]
        assert (grid["runs_complete"], grid["failures"]) == (4, [])
        assert [len(point["scores"]) for point in grid["points"]] == [2, 2]
    with (out / "tables" / "table4.csv").open(encoding="utf-8") as file:
        distances = [row["distance"] for row in csv.DictReader(file)]
    assert distances == ["mahalanobis", "cosine"]
    page = read_page((out / "claims.html").read_text(encoding="utf-8"))
    assert "8 of 8 runs are complete" in page.text

    assert look(*command).splitlines()[-1] == f"wrote {out}/claims.html and {out}/claims.json"
