from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.exceptions import DataError


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", "list", *arguments])


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_data_folder_that_does_not_exist_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    nowhere = str(tmp_path / "nowhere")
    if by_variable:
        monkeypatch.setenv("HISTSEARCH_DATA", nowhere)
    refused = invoke(*([] if by_variable else ["--data", nowhere]))
    assert isinstance(refused.exception, DataError)
    assert str(refused.exception).startswith(f"There is no folder {nowhere}: give the folder")
    assert refused.stdout == ""


def test_a_usual_data_folder_that_does_not_exist_yet_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTSEARCH_HOME", str(tmp_path))
    monkeypatch.delenv("HISTSEARCH_DATA", raising=False)
    done = invoke()
    assert done.exit_code == 0
    assert done.stderr == f"there is no folder {tmp_path}/data yet; --data names another\n"
    assert "glyphs   ready" in done.stdout
