"""Names that hold markup, escape sequences and line breaks, in every command that shows them."""

import json
import re
import time
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.workers.registry import Activity, Identity, beat, sign_on
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_next, small_space
from tests.pages import read_page

REASON = "The image \x1b[2J/data/[/x]\nc3 :smile: \u202e can't be read \udcff"
_OBEYED = r"\x1b\[2J|[\x07\u202e\udcff]"
SHOWN_REASON = r"The image \x1b[2J/data/[/x]\nc3 :smile: \u202e can't be read \udcff"


@pytest.fixture
def hostile(storage: Storage) -> Storage:
    """A database of studies and workers with names that a terminal would obey."""
    search = create_search(storage, small_space(dataset="folder:[/x]y|z"))
    complete_next(search, 0.8)
    retraining = create_retraining(search, seeds=1)
    claim = claimed(retraining)
    claim.record({trial_record.REASON: REASON})
    claim.tell(TrialState.FAIL)
    create_search(storage, small_space(dataset="folder:[red]t8"), name="red")
    search.note_left("node[/x]7\x1b[31m", REASON)
    identity = Identity("node[red]\x1b[31m-1", "[/x]\x07", 1, "CPU :smile:", None)
    beat(storage, sign_on(storage, identity, 10.0), Activity("reading folder:[/x]y|z"), None)
    return storage


def shown(storage: Storage, *arguments: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*arguments, "--storage", url])
    assert done.exit_code == 0, done.output
    assert not re.search(_OBEYED, done.output)
    return done.output


def test_every_command_shows_foreign_text_as_text(
    hostile: Storage, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = shown(hostile, "study", "list")
    assert "folder:[/x]y|z" in listed
    assert "folder:[red]t8" in listed

    left = rf"workers on node[/x]7\x1b[31m: {SHOWN_REASON}"
    assert f"left by:   {left}\n" in shown(hostile, "study", "show", "small")

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    # So that --watch finds a terminal to fill.
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "300", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    for options in ((), ("--watch",)):
        screen = shown(hostile, "status", *options)
        assert f"small is left by {left}" in screen
        assert r"node[red]\x1b[31m-1" in screen
        assert r"[/x]\x07" in screen
        assert "CPU :smile:" in screen
        assert "reading folder:[/x]y|z" in screen
    status = json.loads(shown(hostile, "status", "--json"))
    assert REASON in {reason for one in status["studies"] for reason in one["left_by"].values()}

    report = shown(hostile, "report", "small", "--out", str(tmp_path))
    assert f"without a figure: small-retrain #0: {SHOWN_REASON}\n" in report
    written = read_page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "folder:[/x]y|z" in written
    assert SHOWN_REASON in written


def test_trials_are_exported_as_they_are(hostile: Storage) -> None:
    url = hostile.url.render_as_string(hide_password=False)
    claim = claimed(create_search(hostile, small_space(), name="plain"))
    claim.record({trial_record.REASON: REASON.replace("\udcff", "")})
    for format_ in ("json", "csv"):
        arguments = ["study", "export", "plain", "--format", format_, "--storage", url]
        printed = CliRunner().invoke(app, arguments).output
        kept = json.dumps(REASON.replace("\udcff", ""))[1:-1] if format_ == "json" else "\x1b[2J"
        assert kept in printed
