"""``histsearch claims``: what it prints, and what it refuses before anything is created."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from histsearch.cli import worker as worker_command
from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError
from histsearch.reports.claims.grid_files import GRID_FILES
from histsearch.workers import supervisor
from tests.integration.reports.made_up_claims import MEANS, SMALL, claim_study, fill

CLAIM_1, CLAIM_2 = "claim1-batch_size", "claim2-hgnn_layers"
SPACES = Path(__file__).parents[3] / "spaces" / SMALL
RUN = ("--run", "--device", "cpu")


def claims(storage: Storage, folder: str, out: Path, *options: str) -> Result:
    url = storage.optuna.engine.url.render_as_string(hide_password=False)
    given = ["claims", folder, "--out", str(out), "--storage", url, *options]
    return CliRunner().invoke(app, given)


def refused(result: Result) -> Sequence[str]:
    """The lines of the message with which a command was refused."""
    assert isinstance(result.exception, HistsearchError), result.output
    return result.exception.lines


def study_names(storage: Storage) -> list[str]:
    return [one.study_name for one in storage.optuna.get_all_studies()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two spaces, to be changed."""
    made = tmp_path / "grids"
    made.mkdir()
    for stem in (CLAIM_1, CLAIM_2):
        (made / f"{stem}.toml").write_text((SPACES / f"{stem}.toml").read_text(encoding="utf-8"))
    return made


def change(folder: Path, stem: str, old: str, new: str) -> None:
    path = folder / f"{stem}.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new))


def test_it_prints_each_verdict_beside_the_papers(storage: Storage, tmp_path: Path) -> None:
    fill(claim_study(storage, CLAIM_1), CLAIM_1, MEANS[CLAIM_1])
    printed = claims(storage, SMALL, tmp_path).stdout.splitlines()
    assert len(printed) == 6
    assert printed[0].startswith("Claim 1 is not supported. Nb 8 minus Nb 32: -10.0 points")
    assert printed[0].endswith("The paper: in part: from 32 on.")
    assert printed[1] == (
        "Claim 2 is undecided. Nothing was run yet. The paper: not supported: about 3 points lost "
        "from 3 layers on."
    )
    assert printed[-1] == f"wrote {tmp_path}/claims.html and {tmp_path}/claims.json"


def test_the_folders_that_come_with_it_hold_all_grids() -> None:
    for folder in (SPACES, SPACES.parent):
        assert {path.stem for path in folder.glob("*.toml")} == set(GRID_FILES)


def test_an_unknown_folder_is_refused(storage: Storage, tmp_path: Path) -> None:
    (line,) = refused(claims(storage, "claims/tiny", tmp_path))
    assert line.startswith('found no folder "claims/tiny" with a space of a claim, allowed: claims')
    (line,) = refused(claims(storage, "a" * 5000, tmp_path))
    assert line.endswith("(File name too long)")


def test_every_space_that_is_no_such_grid_is_named(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    change(folder, CLAIM_1, '{ name = "grid", seeds = 5 }', '"random"')
    change(folder, CLAIM_2, "hgnn_layers = [1, 2, 3, 4, 5]", "hgnn_hidden = [32, 64]")
    change(folder, CLAIM_2, "hgnn_hidden = 64\n", "hgnn_layers = 2\n")
    change(folder, CLAIM_2, "trials = 25", "trials = 10")
    found = refused(claims(storage, str(folder), tmp_path, *RUN))
    assert [line.partition(": ")[2] for line in found] == [
        'found the sampler "random", allowed: a grid over lists of batch_size, as Figure 2(a) has '
        "it",
        "found a search over hgnn_hidden, allowed: a grid over lists of hgnn_layers, as Figure "
        "2(b) has it",
    ]
    assert study_names(storage) == []


def test_scores_that_the_rules_are_not_for_are_refused(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    change(folder, CLAIM_1, 'validation = "test"', 'validation = "held-out"')
    change(folder, CLAIM_2, "[protocol]", '[protocol]\nobjective = "map_at_r"')
    first, second = refused(claims(storage, str(folder), tmp_path))
    assert 'allowed: validation = "test" and the objective R@1' in first
    assert 'allowed: validation = "test" and the objective R@1' in second


def test_two_spaces_of_one_name_are_refused(storage: Storage, folder: Path, tmp_path: Path) -> None:
    change(folder, CLAIM_2, f"claims-small-{CLAIM_2}", f"claims-small-{CLAIM_1}")
    (line,) = refused(claims(storage, str(folder), tmp_path))
    assert line == (f'found the name "claims-small-{CLAIM_1}" in several spaces; give each its own')


def test_a_run_names_its_device(storage: Storage, folder: Path, tmp_path: Path) -> None:
    (line,) = refused(claims(storage, str(folder), tmp_path, "--run"))
    assert line.startswith("name the device")
    assert study_names(storage) == []


def test_options_of_workers_are_refused_where_none_is_started(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    given = ("--device", "cpu", "--slots", "2", "--threads", "4", "--data", "/photos")
    (line,) = refused(claims(storage, str(folder), tmp_path / "report", *given))
    assert line.startswith("found --device, --slots, --data, --threads without --run, allowed: ")
    assert not (tmp_path / "report").exists()


def test_studies_of_other_spaces_are_refused_before_any_is_created(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    claim_study(storage, CLAIM_2)
    change(folder, CLAIM_2, "alpha = 0.9", "alpha = 1.1")
    (line,) = refused(claims(storage, str(folder), tmp_path, *RUN))
    name = f"claims-small-{CLAIM_2}"
    assert line.startswith(
        f'found a study named "{name}" already, which differs from the space in fixed'
    )
    assert f"histsearch study delete {name}" in line
    assert study_names(storage) == [name]


@pytest.mark.parametrize("code", [0, 75])
def test_workers_get_the_options_and_the_studies(
    code: int, storage: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def note(devices: Any, slots: int, arguments: Callable[[int], list[str]], _: Any) -> int:
        started.append((devices, slots, arguments(0)))
        return code

    monkeypatch.setattr(supervisor, "supervise", note)
    monkeypatch.setattr(worker_command, "log_to_stderr", lambda *_: None)
    out, given = tmp_path / "report", ("--slots", "2", "--threads", "4", "--data", "/photos")
    result = claims(storage, str(folder), out, *RUN, *given)
    assert result.exit_code == code, result.output
    (row,) = started
    names = [f"claims-small-{stem}" for stem in (CLAIM_1, CLAIM_2)]
    assert row[:2] == ([None], 2)
    assert set(row[2]) == {
        *("--device=cpu", "--slots=2", "--threads=4", "--data=/photos", "--drain"),
        *(f"--study={name}" for name in names),
    }
    assert study_names(storage) == names
    assert result.stdout.startswith(f"{names[0]}: created, 25 runs\n")
    assert (out / "claims.html").exists() == (code == 0), "a stopped run writes no report"
    again = claims(storage, str(folder), out, *RUN)
    assert again.stdout.startswith(f"{names[0]}: exists, 25 runs\n")


def test_a_run_goes_on_with_what_was_enqueued_again(
    storage: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / f"{CLAIM_2}.toml").unlink()
    study = claim_study(storage, CLAIM_1)
    fill(study, CLAIM_1, MEANS[CLAIM_1])
    study.enqueue({"batch_size": 8})
    monkeypatch.setattr(supervisor, "supervise", lambda *_: 0)
    monkeypatch.setattr(worker_command, "log_to_stderr", lambda *_: None)
    result = claims(storage, str(folder), tmp_path / "report", *RUN)
    assert result.stdout.startswith(f"{study.name}: exists, 26 runs\n"), result.exception


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_created(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (line,) = refused(claims(storage, str(folder), tmp_path / "file" / "report", *RUN))
    assert line.startswith(f"can't write to {tmp_path}/file/report")
    assert line.endswith("give another --out")
    assert study_names(storage) == []
