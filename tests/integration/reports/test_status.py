import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.reports.status import StudyStatus, take_status
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import create_search
from histsearch.studies.queue import claim
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from histsearch.workers.registry import Activity, beat
from tests.integration.claims import claimed, signed_on
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
    assert (status.best, status.eta_seconds, status.hours) == (None, None, 0)


def test_progress_best_hours_and_retries(study: Study) -> None:
    tell(study, 0.5, seconds=1800)
    tell(study, 0.75, seconds=5400)
    claimed(study).retry(Ending.CRASHED, "a bug")
    status = only_study(study.storage)
    assert status.trials == {"COMPLETE": 2, "WAITING": 1}
    assert (status.finished, status.retries, status.best) == (2, 1, 0.75)
    assert status.hours == pytest.approx(2)
    assert status.hours_unit == "CPU worker hours"


def test_eta_follows_from_the_pace_of_the_workers_that_live(study: Study) -> None:
    for _ in range(2):
        tell(study, 0.5, seconds=100)
    # Four trials are left, of which two workers have done a half and none.
    for epoch in (5, 0):
        worker_id = signed_on(study.storage)
        assert claim(study, worker_id) is not None
        beat(study.storage, worker_id, Activity("training", "small", 2, epoch, 10), None)
    status = only_study(study.storage)
    assert status.eta_seconds == pytest.approx((4 - 0.5) * 100 / 2)


def test_eta_takes_workers_on_slots_of_a_device_for_their_share_of_it(study: Study) -> None:
    for _ in range(2):
        tell(study, 0.5, seconds=100)
    for slots in (1, 4, 4):
        worker_id = signed_on(study.storage, slots=slots)
        beat(study.storage, worker_id, Activity("training", "small", 2, 0, 10), None)
    assert only_study(study.storage).eta_seconds == pytest.approx(4 * 100 / 1.5)
    workers = take_status(study.storage).to_json()["workers"]
    assert [worker["slots"] for worker in workers][-3:] == [1, 4, 4]


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
