"""What ``study show`` says of the parameters that mattered, and what workers store of it."""

import json
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_with, small_space

EPOCHS = 4
SEARCH: dict[str, list[float]] = {"tau": [4, 8, 16], "alpha": [0.9, 1.0, 1.1]}
WORTH = {4: 0.3, 8: 0.5, 16: 0.7}


def search(storage: Storage, **changes: Any) -> Study:
    queue = [{"tau": tau, "alpha": alpha} for tau in SEARCH["tau"] for alpha in SEARCH["alpha"]]
    table = {"sampler": "freeze-thaw", "enqueue": queue, "search": SEARCH, **changes}
    return create_search(storage, small_space(epochs=EPOCHS, trials=20, **table))


def shown(study: Study, *options: str) -> str:
    url = study.storage.url.render_as_string(hide_password=False)
    command = ["study", "show", "small", *options, "--storage", url]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_mattered_is_stored_by_workers_and_read_without_the_model(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search(storage)
    assert "mattered:  not known yet: three configurations must have run\n" in shown(study)
    for _ in range(9):
        claim = claimed(study)
        worth = WORTH[claim.trial.params["tau"]]
        claim.record({}, dict.fromkeys(range(1, EPOCHS + 1), worth))
        if worth == max(WORTH.values()):
            claim.tell(TrialState.COMPLETE, worth)
        else:
            claim.pause()
    claimed(study)

    def ask(_: Study) -> None:
        raise AssertionError

    monkeypatch.setattr(Study, "posterior", ask)
    told = json.loads(shown(study, "--json"))["mattered"]
    first, second = told["parameters"]
    assert (first["parameters"], second["parameters"]) == (["tau"], ["alpha"])
    assert first["low"] > 0.9
    assert second["high"] < 0.1
    assert told["pairs"] == []
    text = shown(study)
    assert "mattered:  tau " in text
    assert "interact:  no pair explains as much as 5%\n" in text
    assert "edge:      tau = 16 is the largest value allowed: widen it\n" in text


def test_a_finished_search_that_ran_too_few_configurations_will_never_know(
    storage: Storage,
) -> None:
    queue = [{"tau": 8, "alpha": 1.0}]
    study = create_search(
        storage,
        small_space(epochs=EPOCHS, trials=1, sampler="freeze-thaw", enqueue=queue, search=SEARCH),
    )
    complete_with(study, dict.fromkeys(range(1, EPOCHS + 1), 0.5))
    assert study.is_finished
    assert "mattered:  not known: only 1 configuration ran\n" in shown(study)


def test_without_a_model_it_says_which_one_knows(storage: Storage) -> None:
    queue = [{"tau": tau, "alpha": 1.0} for tau in SEARCH["tau"]]
    study = search(storage, sampler="random", enqueue=queue)
    for value in (0.3, 0.4, 0.5):
        assert "edge:" not in shown(study), "three configurations tell something"
        complete_with(study, {1: value})
    text = shown(study)
    assert 'mattered:  not known: the model of sampler = "freeze-thaw" says it\n' in text
    assert "edge:      tau = 16 is the largest value allowed: widen it\n" in text


def test_of_one_parameter_there_is_nothing_to_say(storage: Storage) -> None:
    study = search(storage, search={"tau": [4, 8, 16]}, enqueue=[{"tau": 8}])
    complete_with(study, {1: 0.5})
    assert "mattered" not in shown(study)
    assert "edge" not in shown(study)
