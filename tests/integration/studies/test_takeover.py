"""Trials whose workers are gone, and workers that don't know it."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.database.tables import attempts, workers
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.claim import Claim, ClaimLostError, end_attempt
from histsearch.studies.liveness import DoubtfulTrials
from histsearch.studies.queue import claim
from histsearch.studies.study import Study
from histsearch.workers.registry import Activity, beat, list_workers, sign_off
from tests.integration.claims import (
    Judge,
    claim_next,
    claimed,
    row_held,
    signed_on,
    take_over_the_silent,
)
from tests.integration.studies.small_search import small_space

IDLE = Activity("idle")


def claimed_by_the_dead(study: Study, *, epochs: int = 1, host: str = "localhost") -> Claim:
    """A running trial whose worker trained some epochs and shows no further sign of life."""
    one = claim(study, signed_on(study.storage, name="victim", host=host))
    assert one is not None
    train(one, epochs)
    return one


def train(one: Claim, epochs: int) -> None:
    """Have an attempt go on for some epochs from where those before it stopped."""
    reached = len(one.trial.user_attrs.get(trial_record.EPOCH_SECONDS, ()))
    one.start(reached)
    one.record({trial_record.EPOCH_SECONDS: [1.0] * (reached + epochs)})


def endings(study: Study) -> list[tuple[int, str | None]]:
    with study.storage.begin() as connection:
        rows = connection.execute(
            sqlalchemy.select(attempts.c.number, attempts.c.ending).order_by(attempts.c.id)
        )
        return [(row.number, row.ending) for row in rows]


def state(study: Study, number: int = 0) -> TrialState:
    return study.trials()[number].state


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space(trials=2))


def test_the_trial_of_a_silent_worker_goes_back_with_a_link_to_each_attempt(study: Study) -> None:
    victim = claimed_by_the_dead(study)
    take_over_the_silent(study.storage)
    assert state(study) == TrialState.WAITING

    again = claimed(study)
    assert (again.trial.number, again.trial.params) == (0, victim.trial.params)
    assert (again.attempt, again.seed) == (2, victim.seed)
    assert endings(study) == [(1, "worker lost"), (2, None)]
    (retry,) = study.trials()[0].user_attrs[trial_record.RETRIES]
    assert retry == "worker lost on victim: no heartbeat for 61 s"


def test_a_worker_that_lives_keeps_its_trial(study: Study) -> None:
    worker_id = signed_on(study.storage)
    assert claim(study, worker_id) is not None
    judge = Judge(study.storage)
    for _ in range(3):
        judge.watch_for(59)
        beat(study.storage, worker_id, IDLE, None)
        judge.take_over()
        assert state(study) == TrialState.RUNNING


@pytest.mark.parametrize("seconds", [0, 59])
def test_silence_is_not_judged_by_a_worker_that_has_not_been_there_for_as_long(
    study: Study, seconds: float
) -> None:
    claimed_by_the_dead(study)
    judge = Judge(study.storage)
    judge.watch_for(seconds)
    judge.take_over()
    assert state(study) == TrialState.RUNNING


@pytest.mark.parametrize("outage_seconds", [31, 55, 600])
def test_a_worker_that_was_cut_off_itself_begins_its_watch_anew(
    study: Study, outage_seconds: float
) -> None:
    judge = Judge(study.storage)
    claimed_by_the_dead(study)
    judge.watch_for(59)
    judge.seconds += outage_seconds
    assert judge.watch.silent() == {}, "not before it has looked itself"
    judge.watch_for(59)
    judge.take_over()
    assert state(study) == TrialState.RUNNING
    judge.watch_for(2)
    judge.take_over()
    assert state(study) == TrialState.WAITING


def test_a_heartbeat_that_comes_at_the_last_moment_counts(study: Study) -> None:
    worker_id = signed_on(study.storage)
    assert claim(study, worker_id) is not None
    judge = Judge(study.storage)
    judge.watch_for(61)
    assert judge.watch.silent().keys() == {worker_id}
    beat(study.storage, worker_id, IDLE, None)
    judge.take_over()
    assert state(study) == TrialState.RUNNING


def test_a_worker_of_a_shorter_grace_is_given_that_of_its_judge(study: Study) -> None:
    hasty = signed_on(study.storage, heartbeat_seconds=1)
    assert claim(study, hasty) is not None
    judge = Judge(study.storage)
    judge.watch_for(59)  # as after an outage that the judge didn't notice
    judge.take_over()
    assert state(study) == TrialState.RUNNING
    judge.watch_for(2)
    judge.take_over()
    assert state(study) == TrialState.WAITING


def test_a_worker_of_a_longer_grace_has_it(study: Study) -> None:
    patient = signed_on(study.storage, heartbeat_seconds=20)
    assert claim(study, patient) is not None
    judge = Judge(study.storage)
    judge.watch_for(119)
    judge.take_over()
    assert state(study) == TrialState.RUNNING
    judge.watch_for(2)
    judge.take_over()
    assert state(study) == TrialState.WAITING


def test_a_claim_whose_answer_was_lost_is_left_over_and_uses_up_no_retry(study: Study) -> None:
    judge = Judge(study.storage)
    assert claim(study, judge.id) is not None
    judge.take_over()
    assert state(study) == TrialState.WAITING
    assert endings(study) == [(1, "given back")]


def test_a_worker_that_signed_off_frees_its_trial_at_once(study: Study) -> None:
    worker_id = signed_on(study.storage)
    assert claim(study, worker_id) is not None
    sign_off(study.storage, worker_id)
    Judge(study.storage).take_over()
    assert state(study) == TrialState.WAITING
    assert endings(study) == [(1, "given back")]


def test_a_process_that_died_while_claiming_leaves_no_trial_running(study: Study) -> None:
    study.optuna_study.ask(study.definition.distributions())
    assert state(study) == TrialState.RUNNING
    Judge(study.storage).take_over()
    assert state(study) == TrialState.WAITING
    assert claimed(study).attempt == 1


def test_a_process_that_dies_over_a_write_has_written_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = claimed(study)

    def die(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("histsearch.studies.claim.requeue", die)
    with pytest.raises(ZeroDivisionError):
        one.retry(Ending.CRASHED, "a bug")
    assert state(study) == TrialState.RUNNING
    assert endings(study) == [(1, None)]
    one.tell(TrialState.COMPLETE, 0.5)
    assert state(study) == TrialState.COMPLETE


def test_trials_of_other_optuna_studies_are_left_alone(storage: Storage) -> None:
    import optuna

    foreign = optuna.create_study(storage=storage.optuna, study_name="foreign")
    foreign.ask()
    take_over_the_silent(storage)
    assert foreign.trials[0].state == TrialState.RUNNING


def test_retries_are_counted_and_used_up(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=1, max_retries=2))
    for _ in range(2):
        claimed_by_the_dead(study)
        take_over_the_silent(storage)
        assert state(study) == TrialState.WAITING
    claimed(study).retry(Ending.CRASHED, "ZeroDivisionError: division by zero")
    assert state(study) == TrialState.FAIL
    attributes = study.trials()[0].user_attrs
    assert len(attributes[trial_record.RETRIES]) == 3
    assert attributes[trial_record.REASON] == (
        "failed 3 times (max_retries = 2), at last: crashed on tester: ZeroDivisionError: division "
        "by zero"
    )
    assert study.is_finished


def test_the_last_attempt_of_a_trial_that_failed_by_it_is_known_to_who_judged(
    storage: Storage,
) -> None:
    study = create_search(storage, small_space(trials=1, max_retries=0))
    victim = claimed_by_the_dead(study)
    (failed,) = take_over_the_silent(storage)
    assert (failed.id, failed.attempt) == (victim.id, 1)
    assert state(study) == TrialState.FAIL


def test_a_reason_that_the_database_cannot_hold_is_stored_as_far_as_it_can(study: Study) -> None:
    claimed(study).retry(Ending.CRASHED, "bad header \x00 of \udcff.jpg")
    (retry,) = study.trials()[0].user_attrs[trial_record.RETRIES]
    assert retry == "crashed on tester: bad header  of ?.jpg"


def test_being_given_back_uses_up_no_retry(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=1, max_retries=0))
    for _ in range(3):
        claimed(study).give_back()
    assert claimed(study).attempt == 4


@pytest.mark.parametrize(
    "write",
    [
        lambda claim: claim.record({"seed": 1}, {1: 0.5}),
        lambda claim: claim.tell(TrialState.COMPLETE, 0.9),
        lambda claim: claim.give_back(),
        lambda claim: claim.start(0),
        lambda claim: claim.retry(Ending.CRASHED, "a bug"),
    ],
    ids=["record", "tell", "give back", "start", "retry"],
)
def test_a_worker_whose_trial_was_taken_over_can_write_nothing_more(
    study: Study, write: Callable[[Claim], Any]
) -> None:
    sleeper = claimed_by_the_dead(study)
    take_over_the_silent(study.storage)
    successor = claimed(study)
    successor.record({}, {1: 0.25})
    before = study.trials()[0]

    with pytest.raises(ClaimLostError):
        write(sleeper)
    after = study.trials()[0]
    assert after == before
    assert after.state == TrialState.RUNNING
    successor.tell(TrialState.COMPLETE, 0.25)
    assert study.trials()[0].value == 0.25


def test_a_result_being_told_while_its_trial_is_to_be_taken_over_stands(study: Study) -> None:
    sleeper = claimed_by_the_dead(study)
    judge = Judge(study.storage)
    judge.watch_for(61)
    with row_held(sleeper) as connection:
        judge.take_over()  # doesn't wait for what may take long
        within = study.storage.optuna_within(connection)
        within.set_trial_state_values(sleeper.trial._trial_id, TrialState.COMPLETE, [0.5])
        end_attempt(connection, sleeper.id, Ending.COMPLETE)
    judge.take_over()
    assert state(study) == TrialState.COMPLETE
    assert endings(study) == [(1, "complete")]


def test_a_worker_suspended_in_the_midst_of_a_write_hinders_no_other(
    storage: Storage, study: Study
) -> None:
    sleeper = claimed_by_the_dead(study)
    other = create_search(storage, small_space(), name="other")
    abandoned = claimed_by_the_dead(other)
    with row_held(sleeper):
        take_over_the_silent(storage)
        assert state(other, abandoned.trial.number) == TrialState.WAITING
        assert claim_next(study) is not None


@pytest.mark.parametrize(
    "end",
    [
        lambda claim: claim.tell(TrialState.COMPLETE, 0.5),
        lambda claim: claim.tell(TrialState.PRUNED),
        lambda claim: claim.give_back(),
        lambda claim: claim.retry(Ending.CRASHED, "a bug"),
    ],
    ids=["complete", "pruned", "given back", "crashed"],
)
def test_an_end_may_be_told_again_when_the_answer_to_it_was_lost(
    study: Study, end: Callable[[Claim], Any]
) -> None:
    one = claimed(study)
    end(one)
    before = study.trials()[0]
    end(one)
    assert study.trials()[0] == before
    assert len(endings(study)) == 1


def test_a_trial_that_someone_else_finished_is_a_lost_claim(study: Study) -> None:
    one = claimed(study)
    study.optuna_study.tell(one.trial.number, state=TrialState.FAIL)
    with pytest.raises(ClaimLostError):
        one.tell(TrialState.COMPLETE, 0.5)
    assert state(study) == TrialState.FAIL


def test_a_pruned_trial_has_its_last_intermediate_value(study: Study) -> None:
    one = claimed(study)
    one.record({}, {1: 0.5, 2: 0.25})
    one.tell(TrialState.PRUNED)
    assert study.trials()[0].value == 0.25


def test_a_pruned_trial_without_intermediate_values_has_none(study: Study) -> None:
    claimed(study).tell(TrialState.PRUNED)
    assert study.trials()[0].value is None


def test_a_deleted_study_is_a_lost_claim(study: Study) -> None:
    one = claimed(study)
    delete_study(study.storage, study.name)
    with pytest.raises(ClaimLostError):
        one.record({"seed": 1})
    assert endings(study) == []


def test_a_heartbeat_tells_whether_the_attempt_still_holds(study: Study) -> None:
    worker_id = signed_on(study.storage)
    one = claim(study, worker_id)
    assert one is not None
    assert beat(study.storage, worker_id, IDLE, one.id)
    take_over_the_silent(study.storage)
    assert not beat(study.storage, worker_id, IDLE, one.id)


def test_steps_beyond_the_checkpoint_are_forgotten_at_a_new_start(study: Study) -> None:
    first = claimed(study)
    first.record({}, {1: 0.1, 2: 0.2, 3: 0.3})
    first.give_back()
    claimed(study).start(1)
    assert study.trials()[0].intermediate_values == {1: 0.1}


def test_running_trials_are_in_doubt_until_their_workers_show_life(study: Study) -> None:
    storage = study.storage
    worker_id = signed_on(storage)
    assert claim(study, worker_id) is not None
    beat(storage, worker_id, IDLE, None)
    doubts = DoubtfulTrials()
    assert doubts.count(storage, [study.id]) == 1
    assert doubts.count(storage, [study.id + 1]) == 0
    assert doubts.count(storage, [study.id]) == 1
    beat(storage, worker_id, IDLE, None)
    assert doubts.count(storage, [study.id]) == 0
    study.optuna_study.ask(study.definition.distributions())
    assert doubts.count(storage, [study.id]) == 1, "one without a worker is to be taken back"


def set_back(storage: Storage, worker_id: int, seconds: float) -> None:
    """Move the last heartbeat of a worker into the past."""
    by = sqlalchemy.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    with storage.begin() as connection:
        connection.execute(
            sqlalchemy.update(workers)
            .where(workers.c.id == worker_id)
            .values(heartbeat_at=workers.c.heartbeat_at - by)
        )


def test_the_list_of_workers_says_who_is_gone(storage: Storage) -> None:
    names = ("alive", "dead", "ended", "forgotten", "ahead")
    alive, dead, ended, forgotten, ahead = (signed_on(storage, name=name) for name in names)
    activity = Activity("training", "small", 3, 2, 10, 120.5, 900)
    beat(storage, alive, activity, None)
    set_back(storage, dead, 120)
    sign_off(storage, ended)
    set_back(storage, forgotten, 100_000)
    set_back(storage, ahead, -3600)  # it died before the database's clock was set back
    found = {worker.identity.name: worker for worker in list_workers(storage)}
    assert found.keys() == {"alive", "dead", "ahead"}
    assert found["alive"].activity == activity
    assert {name: one.gone for name, one in found.items()} == {
        "alive": False,
        "dead": True,
        "ahead": True,
    }
    assert found["dead"].silent_seconds == pytest.approx(120, abs=30)
    assert found["ahead"].silent_seconds == 0
