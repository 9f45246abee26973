"""What commands say of a search without asking its model: the answer that a worker stored."""

import re

import pytest
from optuna.trial import TrialState
from sqlalchemy import delete
from typer.testing import CliRunner

from benchmarks.throughput.filled_study import filled_study
from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.database.tables import optuna_study_attributes
from histsearch.reports.winner import winning_trial
from histsearch.studies import standing
from histsearch.studies.catalog import create_search
from histsearch.studies.standing import STANDING, known_standing, note_last_standing
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import complete_trials, trials_that_reached
from histsearch.studies.trial_sums import sums_of
from tests.integration.claims import claimed
from tests.integration.studies.small_search import complete_with, small_space

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def study(storage: Storage) -> Study:
    space = small_space(
        sampler="freeze-thaw", enqueue=[], search={"tau": [4, 8, 16, 32]}, epochs=4, trials=3
    )
    return create_search(storage, space)


def never_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: Study) -> None:
        raise AssertionError

    monkeypatch.setattr(Study, "posterior", ask)


def shown(study: Study, *command: str) -> str:
    url = study.storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, [*command, "--storage", url], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def complete(study: Study, value: float) -> int:
    return complete_with(study, dict.fromkeys(range(1, 5), value)).number


def test_commands_print_the_stored_answer_and_when_it_was_made(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = complete(study, 0.6)
    claimed(study)
    never_ask(monkeypatch)
    best = shown(study, "study", "best", "small")
    assert best.startswith(f"trial {first}, R@1 60.0%")
    assert re.search(f"^judged at {TIME}, as a worker last asked the model$", best, re.MULTILINE)
    assert re.search(f"^judged: +at {TIME}, as", shown(study, "study", "show", "small"), re.M)
    assert "60.0%" in shown(study, "study", "list")
    assert "60.0%" in shown(study, "status")


def test_a_search_that_is_finished_stores_its_last_answer(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(study, 0.6)
    complete(study, 0.5)
    note_last_standing(study)
    before = known_standing(study)
    last = complete(study, 0.9)
    note_last_standing(study)
    never_ask(monkeypatch)
    winner, after = winning_trial(study), known_standing(study)
    assert winner is not None
    assert winner.number == last
    assert before is not None
    assert after is not None
    assert after.standing.configurations[0] == winner.parameters
    assert before.standing != after.standing


def test_where_nothing_is_stored_a_small_study_is_asked_and_a_large_one_goes_by_value(
    study: Study, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = complete(study, 0.6), complete(study, 0.7)
    attributes = optuna_study_attributes
    with storage.begin() as connection:
        connection.execute(delete(attributes).where(attributes.c.key == STANDING))
    assert "judged" not in shown(study, "study", "best", "small")
    monkeypatch.setattr(standing, "_FEW_EPOCHS", 7)
    never_ask(monkeypatch)
    best = shown(study, "study", "best", "small")
    assert best.startswith(f"trial {second}, ")
    assert "judged by its value alone, as no worker has asked the model yet" in best
    assert first != second


def test_values_alone_decide_without_the_model(storage: Storage) -> None:
    study = create_search(storage, small_space(sampler="random", enqueue=[], epochs=4))
    complete(study, 0.6)
    assert "judged" not in shown(study, "study", "best", "small")


def test_sums_are_those_of_the_trials(storage: Storage) -> None:
    study = filled_study(storage, "filled", 40)
    trials = study.trials()
    sums = sums_of(study)
    for state in TrialState:
        assert sums.states.get(state, 0) == sum(trial.state == state for trial in trials)
    assert sums.finished == sums.timed == sums.states[TrialState.COMPLETE]
    assert sums.seconds == pytest.approx(sum(one.user_attrs["seconds"] for one in trials))
    assert sums.accelerated
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert [(one.number, one.score, one.params) for one in complete_trials(study)] == [
        (trial.number, trial.value, trial.params) for trial in done
    ]
    least = sorted(trial.value or 0 for trial in done)[-3]
    high = [one for one in trials if max(one.intermediate_values.values()) >= least]
    assert [one.number for one in trials_that_reached(study, least)] == [one.number for one in high]


def test_a_study_is_deleted_whole_and_alone(storage: Storage) -> None:
    filled_study(storage, "filled", 20)
    kept = filled_study(storage, "kept", 20)
    shown(kept, "study", "delete", "filled", "--yes")
    assert len(kept.trials()) == 20
    with storage.begin() as connection:
        for table in ("trials", "trial_params", "trial_user_attributes", "histsearch_attempts"):
            left = connection.exec_driver_sql(
                f"SELECT count(DISTINCT trial_id) FROM {table}"  # noqa: S608
            )
            assert left.scalar_one() == 20
