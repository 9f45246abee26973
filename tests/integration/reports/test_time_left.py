"""How long a study will still take, by what its rows hold."""

import json

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.reports.status import take_status
from histsearch.reports.time_left import TimeLeft, WorkLeft, certain_epochs, work_left
from histsearch.reports.trained_share import trained_share
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.claim import Claim
from histsearch.studies.epoch_sums import sum_epochs
from histsearch.studies.hours import in_seconds
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.queue import claim
from histsearch.studies.retraining import create_retraining
from histsearch.studies.stages import StudyMove
from histsearch.studies.study import Study
from histsearch.workers.registry import IDLE, Activity, Identity, beat, sign_on
from tests.integration.claims import claimed, signed_on
from tests.integration.cli.test_study import shown
from tests.integration.studies.small_search import complete_next, small_space

EPOCHS = 10


def searched(
    storage: Storage, trials: int = 4, sampler: str = "random", **changes: object
) -> Study:
    return create_search(
        storage,
        small_space(trials=trials, sampler=sampler, enqueue=[], epochs=EPOCHS, **changes),
    )


def train(one: Claim, epochs: int, seconds: float = 60.0, charged: float | None = None) -> None:
    """Have a trial report epochs of so many seconds each, after a warm-up of a tenth of one."""
    total = epochs * seconds + 0.1 * seconds
    one.record(
        {
            trial_record.WARMUP_SECONDS: 0.1 * seconds,
            trial_record.EPOCH_SECONDS: [seconds] * epochs,
            trial_record.SECONDS: total if charged is None else charged,
            trial_record.BEST_EPOCH: 1,
        },
        dict.fromkeys(range(1, epochs + 1), 0.5),
    )


def working(
    study: Study, epochs: int, seconds: float = 60.0, charged: float | None = None
) -> Claim:
    """A trial that a worker trains, after so many epochs."""
    worker_id = signed_on(study.storage)
    one = claim(study, worker_id)
    assert one is not None
    if epochs:
        train(one, epochs, seconds, charged)
    activity = Activity("training", study.name, one.trial.number, epochs, EPOCHS)
    beat(study.storage, worker_id, activity, None)
    return one


def left(study: Study) -> TimeLeft | None:
    return next(
        one for one in take_status(study.storage).studies if one.name == study.name
    ).time_left


def seconds(study: Study) -> tuple[float, float]:
    """At most, and probably."""
    estimate = left(study)
    assert estimate is not None
    return estimate.at_most_seconds, estimate.probable_seconds


def work(study: Study) -> WorkLeft:
    return work_left(study, sum_epochs(study))


def test_there_is_an_estimate_from_the_first_epoch_on(storage: Storage) -> None:
    study = searched(storage)
    assert left(study) is None
    one = working(study, 0)
    assert left(study) is None, "no epoch is trained"
    train(one, 1)
    # 9 epochs of this trial, and three of 10 that begin with a warm-up.
    expected = 39 * 60 + 3 * 6
    assert seconds(study) == pytest.approx((expected, expected))
    text = shown(storage, "--json")
    assert json.loads(text)["time_left"]["workers"] == 1
    assert "time left: about 39 min, with 1 worker\n" in shown(storage)


def test_without_pauses_the_new_trials_are_probably_left_early(storage: Storage) -> None:
    study = searched(storage, trials=8, sampler="tpe")
    working(study, 4)
    share = trained_share(study.definition.space, 8)  # type: ignore[arg-type]
    assert share < 1
    found = work(study)
    assert found == pytest.approx((6 + 7 * 10, 6 + 7 * 10 * share, 10, 7))
    assert "time left: about 1 h 17 min at most, 1 h probably, with 1 worker\n" in shown(storage)


def test_paused_trials_count_until_the_usual_share_is_trained(storage: Storage) -> None:
    study = searched(storage, trials=4, sampler="freeze-thaw")
    share = trained_share(study.definition.space, 4)  # type: ignore[arg-type]
    for epochs in (4, 5):
        one = claimed(study)
        train(one, epochs)
        one.pause()
    found = work(study)
    assert found == pytest.approx((6 + 5 + 20, share * 40 - 9, 10, 2))
    for epochs in (9, 9):
        working(study, epochs)
    # More than the share is trained, and what is begun may go on.
    assert work(study) == WorkLeft(6 + 5 + 1 + 1, 2, 6, 0)
    assert left(study) is not None


def test_workers_share_what_is_left_but_no_trial(storage: Storage) -> None:
    study = searched(storage, trials=3)
    working(study, 5)
    working(study, 5)
    # 5 and 5 epochs, and a whole run; at the end one of the two may be idle.
    shared = (20 * 60 + 6 + 10 * 60) / 2
    assert seconds(study) == pytest.approx((shared, shared))


def test_a_worker_between_two_trials_counts_while_there_are_trials_for_it(
    storage: Storage,
) -> None:
    study = searched(storage, trials=2)
    working(study, 5)

    def with_idle(host: str, *serves: str) -> int:
        worker_id = sign_on(storage, Identity("idle", host, 1, "a processor", None), 10, serves)
        beat(storage, worker_id, Activity(IDLE), None)
        estimate = left(study)
        assert estimate is not None
        return estimate.workers

    study.note_left("node2", "There is no folder /data.")
    assert with_idle("node1", "another") == 1
    assert with_idle("node2") == 1
    assert with_idle("node1", "another", "small") == 2
    assert with_idle("node1") == 3
    working(study, 0)
    assert with_idle("node1") == 2, "both trials have begun"


def test_the_pace_is_that_of_the_epochs_so_far(storage: Storage) -> None:
    study = searched(storage, trials=2)
    complete = claimed(study)
    train(complete, 10, seconds=30)
    complete.tell(TrialState.COMPLETE, 0.5)
    working(study, 5, seconds=90)
    assert seconds(study)[0] == pytest.approx(5 * (10 * 30 + 5 * 90) / 15)


def test_hours_that_are_used_up_sooner_bound_the_time(storage: Storage) -> None:
    study = searched(storage, trials=100, gpu_hours=1.0)
    working(study, 5, seconds=120)
    # A trial that begins with the last of them runs in full.
    assert seconds(study) == pytest.approx((3600 - 5.1 * 120 + 10.1 * 120,) * 2)
    change_limits(study, {"gpu_hours": False})
    assert seconds(study)[0] > 100 * 9 * 120


def test_workers_that_share_a_device_use_its_hours_more_slowly(storage: Storage) -> None:
    study = searched(storage, trials=100, gpu_hours=1.0)
    working(study, 5, seconds=120, charged=5.1 * 60)
    assert seconds(study)[0] == pytest.approx(2 * (3600 - 5.1 * 60) + 10.1 * 120)


def test_hours_that_are_used_up_end_no_trial_that_has_begun(storage: Storage) -> None:
    study = searched(storage, trials=100, gpu_hours=0.1)
    for _ in range(2):
        working(study, 4)
    assert study.is_due
    assert work(study) == WorkLeft(12, 12, 6, 0)
    assert seconds(study) == pytest.approx(((12 + 6) * 60 / 2,) * 2)
    study.enqueue({"batch_size": 16})
    assert seconds(study) == pytest.approx(((22 * 60 + 6 + 10 * 60) / 2,) * 2)


def test_the_winner_of_a_search_whose_hours_are_used_up_is_trained_to_its_end(
    storage: Storage,
) -> None:
    study = searched(storage, trials=100, sampler="freeze-thaw", gpu_hours=0.2)
    for epochs in (4, 5):
        one = claimed(study)
        train(one, epochs)
        one.pause()
    working(study, 9)
    assert study.is_due
    # It is one of the two that are paused, or the one that runs.
    assert certain_epochs(study, sum_epochs(study)) == (6 + 1, 0)
    assert seconds(study)[0] == pytest.approx((6 + 1) * 60)


def test_there_is_none_while_paused_or_without_a_worker(storage: Storage) -> None:
    study = searched(storage)
    one = claimed(study)
    train(one, 3)
    assert left(study) is None, "its worker shows no sign of training it"
    working(study, 1)
    assert left(study) is not None
    study.pause()
    assert left(study) is None
    assert "time left" not in shown(storage)


def test_an_ended_search_has_its_winner_to_train(storage: Storage) -> None:
    study = searched(storage, trials=9, sampler="freeze-thaw")
    for epochs in (4, 5):
        one = claimed(study)
        train(one, epochs)
        one.pause()
    study.move(StudyMove.END, "for a reason")
    assert work(study) == WorkLeft(0, 0, 0, 0)
    storage.optuna.set_trial_user_attr(study.trials()[1]._trial_id, trial_record.TO_THE_END, True)
    assert work(study) == WorkLeft(5, 5, 5, 0)


def test_a_finished_search_has_none(storage: Storage) -> None:
    study = searched(storage, trials=1)
    one = working(study, 10)
    one.tell(TrialState.COMPLETE, 0.5)
    assert left(study) is None


def test_a_retraining_trains_each_configuration_for_its_own_length(storage: Storage) -> None:
    search = searched(storage, trials=2)
    complete_next(search, 0.5, best_epoch=3)
    complete_next(search, 0.6, best_epoch=7)
    retraining = create_retraining(search, top=2, seeds=3)
    lengths = [trial.user_attrs[trial_record.EPOCHS] for trial in retraining.trials()]
    assert work(retraining) == WorkLeft(sum(lengths), sum(lengths), max(lengths), 6)
    one = working(retraining, 2)
    trained = retraining.trials()[one.trial.number].user_attrs[trial_record.EPOCHS]
    found = work(retraining)
    assert (found.at_most, found.probable) == (sum(lengths) - min(2, trained),) * 2
    assert found.beginnings == 5
    assert left(retraining) is not None


def test_attributes_that_others_wrote_do_not_matter(storage: Storage) -> None:
    study = searched(storage)
    working(study, 2)
    key = study.trials()[0]._trial_id
    for odd in ("fast", {"a": 1}, [None, "x", [1.0]], [float("nan"), -3, True]):
        storage.optuna.set_trial_user_attr(key, trial_record.EPOCH_SECONDS, odd)
        assert left(study) is None
    storage.optuna.set_trial_user_attr(key, trial_record.EPOCH_SECONDS, [1e-3, 2, 5.5e0])
    assert sum(one.trained for one in sum_epochs(study)) == 3


ODD_NUMBERS = [10**400, 1e308, float("inf"), [10**400], ["NaN", float("nan")]]


@pytest.mark.parametrize(
    "key",
    [
        trial_record.EPOCH_SECONDS,
        trial_record.EPOCHS,
        trial_record.RETRIES,
        trial_record.SECONDS,
        trial_record.WARMUP_SECONDS,
    ],
)
def test_numbers_that_the_database_cannot_add_up_count_as_none(storage: Storage, key: str) -> None:
    study = searched(storage, trials=2, gpu_hours=1.0)
    first, _ = working(study, 5), working(study, 5)
    for odd in ODD_NUMBERS:
        storage.optuna.set_trial_user_attr(first.trial._trial_id, key, odd)
        assert 150 <= seconds(study)[0] <= 5 * 60 + 10 * 60 + 6
        hours = study.hours
        assert 5.1 * 60 <= in_seconds(hours) <= 2 * 5.1 * 60
        known = find_study(storage, study.name)
        known.trials()
        assert known.hours == hours, "this process adds up as the database does"
    assert "time left: about " in shown(storage)


def test_epochs_are_counted_of_those_that_are_expected(storage: Storage) -> None:
    study = searched(storage, trials=8, sampler="tpe")
    working(study, 4)
    found = work(study)
    assert f"epochs:    4 of {4 + round(found.probable)} expected, 80 at most\n" in shown(storage)
    (status,) = take_status(storage).studies
    assert (status.epochs.trained, status.epochs.at_most) == (4, 80)
    assert json.loads(shown(storage, "--json"))["epochs"]["expected"] == status.epochs.expected


def test_a_finished_study_has_trained_what_it_has(storage: Storage) -> None:
    study = searched(storage, trials=1)
    one = working(study, 3)
    one.tell(TrialState.PRUNED, 0.5)
    assert study.is_finished
    assert "epochs:    3 trained\n" in shown(storage)
    (status,) = take_status(storage).studies
    assert (status.epochs.trained, status.epochs.expected) == (3, 3)


def test_a_search_that_may_be_decided_may_end_earlier(storage: Storage) -> None:
    study = searched(storage, trials=4, sampler="freeze-thaw")
    working(study, 4)
    assert ", with 1 worker, or earlier, when decided\n" in shown(storage)
    (status,) = take_status(storage).studies
    assert status.may_end_earlier
    change_limits(study, {"decided": False})
    assert "or earlier" not in shown(storage)
    assert not take_status(storage).studies[0].may_end_earlier
