"""``histsearch study trials``: each trial with its state, epochs, score, curve and worker."""

import json
import re
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_with, small_space

EPOCHS = 4


def shown(study: Study, *command: str) -> str:
    url = study.storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*command, "--storage", url], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def trials(study: Study, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        shown(study, "study", "trials", study.name, "--json", *options)
    )
    return found


@pytest.fixture
def study(storage: Storage) -> Study:
    """One trial of each kind: complete, paused, failed, running, queued."""
    found = create_search(
        storage,
        small_space(
            sampler="freeze-thaw",
            enqueue=[{"tau": tau} for tau in (4, 8, 16, 32)],
            search={"tau": [4, 8, 16, 32, 64]},
            epochs=EPOCHS,
            trials=6,
        ),
    )
    complete_with(found, {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.5})
    paused = claimed(found)
    paused.record({}, {1: 0.3, 2: 0.7})
    paused.pause()
    failed = claimed(found)
    failed.tell(TrialState.FAIL)
    claimed(found).record({}, {1: 0.25})
    found.enqueue({"tau": 64})
    return found


def test_each_trial_has_its_state_epochs_score_curve_parameters_and_worker(study: Study) -> None:
    lines = shown(study, "study", "trials", "small").splitlines()
    assert lines[0].split() == ["trial", "state", "epochs", "R@1", "curve", "tau", "worker"]
    rows = [re.split(r"\s{2,}", line) for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        ["0", "complete"],
        ["1", "paused"],
        ["2", "failed"],
        ["3", "running"],
        ["4", "queued"],
    ]
    assert rows[0] == ["0", "complete", "4/4", "60.0%", "▁▄▇▅", "4", "tester"]
    assert rows[1] == ["1", "paused", "2/4", "70.0%", "▂█", "8", "tester"]
    assert rows[2] == ["2", "failed", "0/4", "16", "tester"]
    assert rows[4] == ["4", "queued", "0/4", "64"]


def test_the_best_come_first_where_so_many_are_asked_for(study: Study) -> None:
    assert [trial["number"] for trial in trials(study, "--top", "10")] == [1, 0, 3]
    assert [trial["number"] for trial in trials(study, "--top", "1")] == [1]
    text = shown(study, "study", "trials", "small", "--top", "2")
    assert [line.split()[0] for line in text.splitlines()] == ["trial", "1", "0"]


def test_for_programs_a_trial_is_an_object(study: Study) -> None:
    first, second, *_ = trials(study)
    assert first["curve"] == [0.2, 0.4, 0.6, 0.5]
    assert (first["epochs"], first["planned_epochs"], first["best"]) == (EPOCHS, EPOCHS, 0.6)
    assert first["params"] == {"tau": 4}
    assert (second["stage"], second["worker"]) == ("paused", "tester")


def test_paused_trials_are_counted_as_paused(study: Study) -> None:
    show = shown(study, "study", "show", "small")
    assert (
        "trials:    2 of 6 finished (1 paused, 1 running, 1 complete, 1 failed, 1 queued)\n" in show
    )
    told = json.loads(shown(study, "study", "show", "small", "--json"))["trials"]
    assert (told["PAUSED"], told["WAITING"]) == (1, 1)
    for command in (("study", "list"), ("status",)):
        header, row, *_ = (line.split() for line in shown(study, *command).splitlines())
        place = header.index("paused") - (1 if "data" in header else 0)  # "data set" is two words
        assert row[place] == "1", command


def test_a_study_without_trials_says_so(storage: Storage) -> None:
    study = create_search(storage, small_space(enqueue=[]))
    assert shown(study, "study", "trials", "small") == "no trials yet\n"
    claimed(study)
    assert shown(study, "study", "trials", "small", "--top", "3") == "no trial has a score yet\n"


def test_a_retraining_counts_epochs_without_a_curve(study: Study) -> None:
    retraining = create_retraining(study, seeds=1)
    claim = claimed(retraining)
    claim.record({trial_record.EPOCH_SECONDS: [1.0, 1.0]}, {})
    (trial,) = trials(retraining)
    assert (trial["epochs"], trial["curve"], trial["best"]) == (2, [], None)
    assert trial["planned_epochs"] == claim.trial.user_attrs[trial_record.EPOCHS]
    assert trial["params"].keys() == {"tau", "seed"}


def test_scores_that_are_no_numbers_are_gaps(storage: Storage) -> None:
    study = create_search(storage, small_space(epochs=EPOCHS))
    claimed(study).record({}, {1: 0.5, 2: float("nan"), 3: 0.6})
    (trial,) = trials(study)
    assert (trial["curve"], trial["best"]) == ([0.5, None, 0.6], 0.6)
