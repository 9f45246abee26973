"""The leader of a search: from the first epoch on, by the model or by values."""

import json
import re
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import update
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.database.tables import optuna_study_attributes
from histsearch.reports.leader import Leader
from histsearch.reports.winner import judge
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.standing import STANDING
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_with, small_space

EPOCHS = 4


def search(storage: Storage, **changes: Any) -> Study:
    table = {"sampler": "freeze-thaw", "enqueue": [], "search": {"tau": [4, 8, 16, 32]}, **changes}
    return create_search(storage, small_space(epochs=EPOCHS, **table))


def shown(study: Study, *command: str) -> str:
    url = study.storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*command, "--storage", url], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def leader_of(study: Study) -> Leader:
    leader = judge(study).leader
    assert leader is not None
    return leader


def stored(study: Study) -> dict[str, Any]:
    kept: dict[str, Any] = study.optuna_study.user_attrs[STANDING]
    return kept


def test_without_an_epoch_there_is_no_leader(storage: Storage) -> None:
    study = search(storage)
    assert judge(study).leader is None
    claimed(study)
    assert judge(study).leader is None
    assert "leader" not in shown(study, "study", "show", "small")
    assert shown(study, "study", "best", "small") == "no completed trial yet\n"


def test_after_its_first_epoch_a_running_search_has_a_provisional_leader(storage: Storage) -> None:
    study = search(storage)
    claim = claimed(study)
    claim.record({}, {1: 0.6})
    leader = leader_of(study)
    assert leader.parameters == claim.trial.params
    assert (leader.epochs, leader.trials, leader.provisional) == (1, 1, True)
    assert leader.low is not None
    assert leader.high is not None
    assert 0.0 <= leader.low < leader.score < leader.high <= 1.0
    tau = claim.trial.params["tau"]
    line = (
        r"leader: +provisional, expected R@1 \d+\.\d% over seeds "
        r"\(95% interval \d+\.\d% to \d+\.\d%; one run ± \d+\.\d points\), "
        r"highest so far 60\.0%, "
        rf"by 1 epoch of 1 trial: tau = {tau}\n"
    )
    assert re.search(line, shown(study, "study", "show", "small"))
    assert re.search(line, shown(study, "study", "best", "small"))
    assert "small's leader: provisional, expected R@1" in shown(study, "status")
    told = json.loads(shown(study, "study", "show", "small", "--json"))
    assert told["leader"]["parameters"] == {"tau": tau}
    assert told["leader"]["provisional"] is True
    assert told["best"] is None
    (status,) = json.loads(shown(study, "status", "--json"))["studies"]
    assert status["leader"] == told["leader"]


def test_the_leader_is_firm_once_a_trial_of_it_is_complete_and_surer_with_more_epochs(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search(storage)
    claim = claimed(study)
    claim.record({}, {1: 0.6})
    first = leader_of(study)
    claim.record({}, {2: 0.6, 3: 0.6, 4: 0.6})
    claim.tell(TrialState.COMPLETE, 0.6)
    claimed(study)

    def ask(_: Study) -> None:
        raise AssertionError

    monkeypatch.setattr(Study, "posterior", ask)
    leader = leader_of(study)
    assert (leader.epochs, leader.trials, leader.provisional) == (4, 1, False)
    assert first.low is not None
    assert first.high is not None
    assert leader.low is not None
    assert leader.high is not None
    assert leader.high - leader.low < first.high - first.low
    assert "leader:    expected R@1 " in shown(study, "study", "show", "small")


def test_an_answer_that_an_earlier_version_stored_has_the_leader_by_value(
    storage: Storage,
) -> None:
    study = search(storage)
    complete_with(study, dict.fromkeys(range(1, EPOCHS + 1), 0.6))
    claimed(study)
    kept = stored(study)
    for fact in ("leader", "shares"):
        del kept["standing"][fact]
    attributes = optuna_study_attributes
    with storage.begin() as connection:
        connection.execute(
            update(attributes)
            .where(attributes.c.key == STANDING)
            .values(value_json=json.dumps(kept))
        )
    leader = leader_of(study)
    assert (leader.score, leader.low, leader.high) == (0.6, None, None)
    assert "leader:    highest R@1 60.0%, no interval" in shown(study, "study", "show", "small")


def test_without_a_model_the_highest_value_leads_and_says_what_stands_behind_it(
    storage: Storage,
) -> None:
    study = search(storage, sampler="grid", pruner="none")
    complete_with(study, {1: 0.5, 2: 0.55})
    failed = claimed(study)
    failed.record({}, {1: 0.99})
    failed.tell(TrialState.FAIL)
    assert leader_of(study).provisional is False
    running = claimed(study)
    running.record({}, {1: 0.4, 2: 0.7, 3: 0.6})
    leader = leader_of(study)
    assert leader.parameters == running.trial.params
    assert (leader.score, leader.epochs, leader.trials) == (0.7, 3, 1)
    assert leader.provisional
    told = shown(study, "study", "best", "small")
    assert told.startswith("trial 0, R@1 55.0%")
    assert (
        "leader: provisional, highest R@1 70.0%, no interval without a model, by 3 epochs of 1 "
        "trial: tau = " in told
    )


def test_a_retraining_has_no_leader(storage: Storage) -> None:
    study = search(storage)
    complete_with(study, dict.fromkeys(range(1, EPOCHS + 1), 0.6))
    retraining = create_retraining(study, seeds=1)
    claim = claimed(retraining)
    claim.tell(TrialState.COMPLETE, 0.5)
    assert judge(retraining)[:3] == (None, None, None)
    assert "leader" not in shown(study, "study", "show", "small-retrain")


@pytest.mark.parametrize("folds", [1, 2])
def test_retraining_needs_a_complete_trial_whatever_leads(storage: Storage, folds: int) -> None:
    study = search(storage, protocol={"folds": folds})
    url = storage.url.render_as_string(hide_password=False)
    for epochs in ({}, {1: 0.6}):
        claimed(study).record({}, epochs)
        refused = CliRunner().invoke(app, ["retrain", "small", "--storage", url])
        assert "found 0 distinct completed configurations" in str(refused.exception)
