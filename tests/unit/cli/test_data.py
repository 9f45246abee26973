import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.exceptions import DataError
from tests.unit.data.drawn_classes import draw_classes


def invoke(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", command, *arguments])


def test_verify_tells_all_three_parts_and_what_they_can_not_tell(tmp_path: Path) -> None:
    draw_classes(tmp_path / "own", [15] * 8 + [1] * 4 + [15] * 4)
    shutil.copy(tmp_path / "own/class00/0.png", tmp_path / "own/class12/copy.png")
    done = invoke("verify", "folder:own", "--data", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert (
        "in a search with the usual protocol: training 90 images in 6 classes; validation 30 "
        "images in 2 classes; test 65 images in 8 classes; one validation image is worth 3.33 "
        "points, one test image 1.54\n"
    ) in done.stdout
    assert "all 185 image files can be read" in done.stdout
    warnings = done.stderr.splitlines()
    assert len(warnings) == 4
    assert warnings[0].startswith("warning: 30 validation images in 2 classes are too few to rank")
    assert warnings[1].startswith("warning: 4 of 65 test images have no other image of their")
    assert warnings[2].startswith("warning: 65 test images in 8 classes are too few to rank by")
    assert warnings[3].startswith("warning: 1 file is in the training and the test half: ")
    assert "no score can exceed 93.84%" in done.stderr


def test_verify_tells_of_classes_too_few_for_a_search(tmp_path: Path) -> None:
    draw_classes(tmp_path / "own", [2] * 4)
    done = invoke("verify", "folder:own", "--data", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith(
        "warning: with the usual protocol no worker takes it: Holding out 0.25 of 2 training"
    )


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_data_folder_that_does_not_exist_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    nowhere = str(tmp_path / "nowhere")
    if by_variable:
        monkeypatch.setenv("HISTSEARCH_DATA", nowhere)
    refused = invoke("list", *([] if by_variable else ["--data", nowhere]))
    assert isinstance(refused.exception, DataError)
    assert str(refused.exception).startswith(f"There is no folder {nowhere}: give the folder")
    assert refused.stdout == ""


def test_a_usual_data_folder_that_does_not_exist_yet_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTSEARCH_HOME", str(tmp_path))
    monkeypatch.delenv("HISTSEARCH_DATA", raising=False)
    done = invoke("list")
    assert done.exit_code == 0
    assert done.stderr == f"there is no folder {tmp_path}/data yet; --data names another\n"
    assert "glyphs   ready" in done.stdout
