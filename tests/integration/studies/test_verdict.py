"""Whose failure it was when an attempt at a trial failed, and who tries it next."""

from collections.abc import Callable

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import create_search
from histsearch.studies.claim import Claim
from histsearch.studies.queue import claim
from histsearch.studies.study import Study
from tests.integration.claims import signed_on, take_over_the_silent
from tests.integration.studies.small_search import small_space
from tests.integration.studies.test_takeover import (
    claimed_by_the_dead,
    endings,
    set_back,
    state,
    train,
)

LARGE = {"alpha": 0.9, "lr": 1e-4, "batch_size": 32}
SMALL = {"alpha": 0.9, "lr": 1e-4, "batch_size": 8}
AS_LARGE = {"alpha": 1.0, "lr": 1e-4, "batch_size": 32}
REASON = "out of memory at batch size 32: 900 MiB were in use"

Create = Callable[..., Study]


@pytest.fixture
def create(storage: Storage) -> Create:
    def create_with(*configurations: dict[str, float], **changes: object) -> Study:
        space = small_space(enqueue=list(configurations), trials=len(configurations), **changes)
        return create_search(storage, space)

    return create_with


def take(study: Study, worker_id: int) -> Claim:
    taken = claim(study, worker_id)
    assert taken is not None
    return taken


def lack(one: Claim) -> TrialState:
    one.start(0)
    return one.retry(Ending.LACK, REASON)


def complete(one: Claim) -> None:
    train(one, 1)
    one.tell(TrialState.COMPLETE, 0.5)


def reason(study: Study, number: int = 0) -> object:
    return study.trials()[number].user_attrs.get(trial_record.REASON)


def test_what_one_machine_lacks_is_not_the_trials_fault_and_two_machines_decide(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, max_retries=0)
    for _ in range(3):  # a process that is started again is on the same machine
        assert lack(take(study, signed_on(storage))) == TrialState.WAITING
    assert lack(take(study, signed_on(storage, host="other"))) == TrialState.FAIL
    assert reason(study) == f"{REASON}; the same on 2 machines"
    assert endings(study) == [(number, "lack of resources") for number in (1, 2, 3, 4)]
    assert len(study.trials()[0].user_attrs[trial_record.RETRIES]) == 4


def test_a_worker_that_trained_another_configuration_decides_alone(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, SMALL)
    alone = signed_on(storage)
    assert lack(take(study, alone)) == TrialState.WAITING
    # The other first, and what failed here again when nothing else is left.
    second = take(study, alone)
    assert second.trial.number == 1
    complete(second)
    again = take(study, alone)
    assert (again.trial.number, again.attempt) == (0, 2)
    assert lack(again) == TrialState.FAIL
    assert reason(study) == REASON


def test_what_one_of_several_slots_lacks_is_tried_three_times(
    create: Create, storage: Storage
) -> None:
    study = create(SMALL, LARGE)
    slot = signed_on(storage, slots=2)
    complete(take(study, slot))
    outcomes = [lack(take(study, slot)) for _ in range(3)]
    assert outcomes == [TrialState.WAITING, TrialState.WAITING, TrialState.FAIL]
    assert reason(study, 1) == REASON


def test_an_epoch_of_the_same_configuration_or_of_another_process_proves_nothing(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, LARGE, SMALL)
    one, other = signed_on(storage), signed_on(storage)
    complete(take(study, one))
    second = take(study, one)
    complete(take(study, other))
    assert lack(second) == TrialState.WAITING


def test_another_at_work_tries_before_a_lack_is_the_trials(
    create: Create, storage: Storage
) -> None:
    study = create(SMALL, LARGE, SMALL)
    short, healthy = signed_on(storage), signed_on(storage)
    complete(take(study, short))
    large = take(study, short)
    busy = take(study, healthy)
    assert lack(large) == TrialState.WAITING
    assert claim(study, short) is None
    complete(busy)
    assert take(study, healthy).trial.number == large.trial.number


def test_a_lack_is_tried_again_where_the_other_at_work_is_gone(
    create: Create, storage: Storage
) -> None:
    study = create(SMALL, LARGE, SMALL)
    short, dead = signed_on(storage), signed_on(storage)
    complete(take(study, short))
    large = take(study, short)
    take(study, dead)
    assert lack(large) == TrialState.WAITING
    set_back(storage, dead, 120)
    again = take(study, short)
    assert again.trial.number == large.trial.number
    assert lack(again) == TrialState.FAIL


def test_what_needs_no_more_than_what_ran_here_is_tried_three_times(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, AS_LARGE)
    alone = signed_on(storage)
    complete(take(study, alone))
    states = [lack(take(study, alone)) for _ in range(3)]
    assert states == [TrialState.WAITING, TrialState.WAITING, TrialState.FAIL]


def test_the_same_batch_of_larger_images_needs_more(create: Create, storage: Storage) -> None:
    sizes = {"image_size": [32, 64], "batch_size": [8]}
    study = create(
        {"image_size": 32, "batch_size": 8}, {"image_size": 64, "batch_size": 8}, search=sizes
    )
    alone = signed_on(storage)
    complete(take(study, alone))
    assert lack(take(study, alone)) == TrialState.FAIL


def test_a_crashed_trial_lets_the_others_of_its_worker_go_first(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, SMALL)
    one, other = signed_on(storage), signed_on(storage)
    assert take(study, one).retry(Ending.CRASHED, "a bug") == TrialState.WAITING
    second = take(study, one)
    assert second.trial.number == 1
    assert take(study, other).trial.number == 0


def test_a_new_trial_is_another_than_the_one_that_waits_for_another_worker(
    create: Create, storage: Storage
) -> None:
    study = create(
        {"alpha": 0.9, "batch_size": 8},
        sampler="freeze-thaw",
        pruner="freeze-thaw",
        search={"alpha": [0.9, 1.0], "batch_size": [8]},
    )
    study.optuna_study.set_user_attr("histsearch.trials", 2)
    worker = signed_on(storage)
    first = take(study, worker)
    lack(first)
    second = take(study, worker)
    assert second.trial.number == 1
    assert second.trial.params != first.trial.params


def test_a_trial_that_hung_in_two_processes_fails_with_that_reason(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, SMALL)
    first = take(study, signed_on(storage))
    hang = "no progress for 61 s while training"
    assert first.retry(Ending.STALLED, hang) == TrialState.WAITING
    # A process that is started anew in the same place takes another trial first.
    successor = signed_on(storage)
    complete(take(study, successor))
    again = take(study, successor)
    assert again.trial.number == first.trial.number
    assert again.retry(Ending.STALLED, hang) == TrialState.FAIL
    assert reason(study) == f"it hung on 2 workers, at last on tester: {hang}"


def test_a_process_that_dies_before_an_epoch_uses_up_no_retry(
    create: Create, storage: Storage
) -> None:
    study = create(LARGE, max_retries=0)
    for _ in range(9):
        claimed_by_the_dead(study, epochs=0)
        assert take_over_the_silent(storage) == []
    assert state(study) == TrialState.WAITING
    assert endings(study)[-1] == (9, "worker lost before an epoch")
    claimed_by_the_dead(study, epochs=0)
    assert len(take_over_the_silent(storage)) == 1
    assert str(reason(study)).startswith("its process died 10 times before an epoch, at last: ")


@pytest.mark.parametrize("host", ["localhost", "other"])
def test_an_early_death_counts_where_others_run_or_another_machine_knows_it_too(
    create: Create, storage: Storage, host: str
) -> None:
    study = create(LARGE, SMALL, max_retries=1)
    victim = claimed_by_the_dead(study, epochs=0)
    if host == "localhost":
        complete(take(study, signed_on(storage)))
    take_over_the_silent(storage)
    assert state(study) == TrialState.WAITING
    successor = claimed_by_the_dead(study, epochs=0, host=host)
    assert successor.trial.number == victim.trial.number
    take_over_the_silent(storage)
    assert state(study) == TrialState.FAIL
    assert str(reason(study)).startswith("failed 2 times (max_retries = 1), at last: worker lost")
