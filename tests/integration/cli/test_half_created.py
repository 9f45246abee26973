"""Halves that histsearch 0.1.0 left behind are named, stop nothing else, and can be deleted."""

import json
from itertools import cycle
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.exceptions import HistsearchError
from histsearch.studies.catalog import create_search, list_studies
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import DEFINITION
from histsearch.studies.trial_record import RECALL
from tests.integration.claims import claimed
from tests.integration.studies.half_studies import Run, half_retraining, half_search
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space
from tests.pages import read_page

HALVES = ["filled", "few-runs", "no-definition", "short-queue"]


@pytest.fixture
def halves(storage: Storage) -> list[str]:
    """Half created studies, by name, beside a search "small" and its retraining."""
    search = create_search(storage, small_space())
    complete_next(search, 0.5)
    retraining = create_retraining(search, seeds=1)
    run = claimed(retraining)
    run.record({RECALL: {"1": 0.4, "2": 0.6}})
    run.tell(TrialState.COMPLETE, 0.4)

    half_search(storage, small_space(), name="no-definition", enqueued=None)
    twice = small_space(enqueue=[ENQUEUED, ENQUEUED])
    half_search(storage, twice, name="short-queue", enqueued=[ENQUEUED])
    definition = retraining.definition.model_copy(update={"seeds": 3})
    first = Run({**ENQUEUED, "seed": 0}, dict(run.trial.user_attrs))
    half_retraining(storage, definition, name="few-runs", budget=3, runs=[first])
    _fill(storage, definition, first)
    return sorted(HALVES)


def _fill(storage: Storage, definition: StudyDefinition, first: Run) -> None:
    """A half that was resumed, so that workers made up the runs it lacked."""
    filled = half_retraining(storage, definition, name="filled", budget=3, runs=[first])
    filled.set_user_attr("histsearch.paused", False)
    for seed in (1, 2):
        filled.add_trial(
            create_trial(
                params={**ENQUEUED, "seed": seed},
                distributions=definition.distributions(),
                user_attrs={RECALL: {"1": 0.9, "2": 0.9}},
                value=0.9,
            )
        )


def sentence(name: str) -> str:
    return f'"{name}" is half created: histsearch study delete {name}, then create it again'


def invoke(storage: Storage, *arguments: str) -> tuple[str, str]:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*arguments, "--storage", url])
    if isinstance(done.exception, HistsearchError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_halves_are_named_and_leave_the_whole_studies_alone(
    storage: Storage, halves: list[str], tmp_path: Path
) -> None:
    assert [study.name for study in list_studies(storage)] == ["small", "small-retrain"]

    table, told = invoke(storage, "study", "list")
    assert told.splitlines() == [sentence(name) for name in halves]
    assert [line.split()[0] for line in table.splitlines()] == ["study", "small", "small-retrain"]

    screen, _ = invoke(storage, "status")
    assert [line for line in screen.splitlines() if "half" in line] == list(map(sentence, halves))
    status = json.loads(invoke(storage, "status", "--json")[0])
    assert status["half_created"] == halves
    assert [study["name"] for study in status["studies"]] == ["small", "small-retrain"]

    _, told = invoke(storage, "report", "small", "--out", str(tmp_path))
    retrainings = [sentence("few-runs"), sentence("filled")]
    left_out = [line for line in told.splitlines() if not line.startswith("warning: ")]
    assert left_out == [f"left out: {half}" for half in retrainings]
    (report,) = json.loads((tmp_path / "report.json").read_text())["studies"]
    assert report["half_created_retrainings"] == retrainings
    assert [one["scores"] for one in report["retrained"]] == [[0.4]]
    page = read_page((tmp_path / "report.html").read_text())
    assert f"Left out: {retrainings[0]}." in page.text


def test_a_study_that_cannot_be_read_is_named(storage: Storage) -> None:
    create_search(storage, small_space(), name="ours")
    theirs = create_search(storage, small_space(), name="theirs")
    theirs.optuna_study.set_user_attr(DEFINITION, ["a list"])
    table, told = invoke(storage, "study", "list")
    assert "theirs" not in table
    assert "ours" in table
    assert told.startswith('found "theirs", whose definition histsearch')
    assert told.strip() in " ".join(invoke(storage, "status")[0].split())
    assert json.loads(invoke(storage, "status", "--json")[0])["unreadable"] == ["theirs"]


def test_every_command_on_a_half_says_what_to_do(
    storage: Storage, halves: list[str], tmp_path: Path
) -> None:
    commands: list[tuple[str, ...]] = [
        ("study", "show"),
        ("study", "best"),
        ("study", "resume"),
        ("study", "pause"),
        ("study", "export"),
        ("retrain",),
        ("report", "--out", str(tmp_path)),
    ]
    for command, name in zip(commands, cycle(halves), strict=False):
        with pytest.raises(HistsearchError) as raised:
            invoke(storage, *command, name)
        assert str(raised.value) == sentence(name)


def test_a_half_is_deleted_and_created_again(storage: Storage, halves: list[str]) -> None:
    url = storage.url.render_as_string(hide_password=False)
    for name in halves:
        with pytest.raises(HistsearchError) as raised:
            create_search(storage, small_space(), name=name)
        assert str(raised.value) == sentence(name)
        done = CliRunner().invoke(app, ["study", "delete", name, "--yes", "--storage", url])
        assert done.exit_code == 0, done.output
        create_search(storage, small_space(), name=name)
    assert [study.name for study in list_studies(storage)] == sorted(
        [*halves, "small", "small-retrain"]
    )


def test_a_whole_study_that_a_person_paused_is_no_half(storage: Storage) -> None:
    search = create_search(storage, small_space())
    search.pause()
    empty = create_search(storage, small_space(enqueue=[]), name="nothing-enqueued")
    empty.pause()
    for name in ("small", "nothing-enqueued"):
        invoke(storage, "study", "resume", name)
    assert search.is_open
    assert empty.is_open
