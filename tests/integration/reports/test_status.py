import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.reports.status import StudyStatus, take_status
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space(trials=6))


def only_study(storage: Storage) -> StudyStatus:
    (status,) = take_status(storage).studies
    return status


def tell(study: Study, value: float, seconds: float) -> None:
    one = claimed(study)
    one.record({trial_record.SECONDS: seconds, trial_record.BEST_EPOCH: 1})
    one.tell(TrialState.COMPLETE, value)


def test_a_new_study_has_nothing_done_and_no_eta(study: Study) -> None:
    status = only_study(study.storage)
    assert (status.name, status.state) == ("small", "open")
    assert (status.finished, status.budget, status.trials) == (0, 6, {"WAITING": 1})
    assert (status.best, status.time_left, status.hours) == (None, None, 0)


def test_progress_best_hours_and_retries(study: Study) -> None:
    tell(study, 0.5, seconds=1800)
    tell(study, 0.75, seconds=5400)
    claimed(study).retry(Ending.CRASHED, "a bug")
    status = only_study(study.storage)
    assert status.trials == {"COMPLETE": 2, "WAITING": 1}
    assert (status.finished, status.retries, status.best) == (2, 1, 0.75)
    assert status.hours == pytest.approx(2)
    assert status.hours_unit == "CPU hours"


def test_a_few_seconds_are_more_than_no_hours(study: Study) -> None:
    tell(study, 0.5, seconds=111)
    url = study.storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["status", "--storage", url], catch_exceptions=False)
    assert "  0.0308 CPU hours" in done.stdout


def test_a_retraining_shows_no_lucky_seed(study: Study) -> None:
    tell(study, 0.5, seconds=1)
    retraining = create_retraining(study, seeds=1)
    one = claimed(retraining)
    one.tell(TrialState.COMPLETE, 0.99)
    status = {one.name: one for one in take_status(study.storage).studies}["small-retrain"]
    assert (status.state, status.best) == ("finished", None)


def test_paused_is_shown(study: Study) -> None:
    study.pause()
    assert only_study(study.storage).state == "paused"
