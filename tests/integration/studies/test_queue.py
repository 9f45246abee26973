import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.queue import claim
from tests.integration.claims import claim_next, claimed, signed_on
from tests.integration.database.side_by_side import run_side_by_side
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space


def test_claims_stop_at_the_budget(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=2))
    assert [claimed(study).trial.number for _ in range(2)] == [0, 1]
    assert not study.is_open
    assert claim_next(study) is None
    assert study.count() == 2


def test_claimed_trial_runs_with_all_its_parameters_stored(storage: Storage) -> None:
    study = create_search(storage, small_space(enqueue=[]))
    params = claimed(study).trial.params
    (stored,) = find_study(storage, "small").trials(TrialState.RUNNING)
    assert params.keys() == {"alpha", "lr", "batch_size"}
    assert stored.params == params


def test_waiting_trials_come_before_new_ones(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=4))
    assert claimed(study).trial.params == ENQUEUED
    complete_next(study, 0.5)
    study.enqueue({**ENQUEUED, "batch_size": 32})
    assert claimed(study).trial.params == {**ENQUEUED, "batch_size": 32}


def test_trial_given_back_is_claimed_again_as_it_was_and_counts_once(
    storage: Storage, database: URL
) -> None:
    study = create_search(storage, small_space(enqueue=[], trials=2))
    first = claimed(study)
    claimed(study)
    first.give_back()
    assert study.is_open
    again = claimed(find_study(Storage(database), "small"))
    assert (again.trial.number, again.trial.params) == (first.trial.number, first.trial.params)
    assert (first.attempt, again.attempt) == (1, 2)
    assert claim_next(study) is None
    again.tell(TrialState.COMPLETE, 0.5)
    assert study.count() == 2
    assert study.count(TrialState.COMPLETE) == 1


def test_seed_of_a_search_trial_is_the_protocols_plus_its_number(storage: Storage) -> None:
    study = create_search(storage, small_space(protocol={"seed": 5}))
    assert [claimed(study).seed for _ in range(3)] == [5, 6, 7]


def test_processes_share_a_budget_exactly(storage: Storage, database: URL) -> None:
    study = create_search(storage, small_space(enqueue=[], trials=30))
    told = run_side_by_side(4, _complete_all, database, "small")
    assert sorted(number for numbers in told for number in numbers) == list(range(30))
    assert [trial.number for trial in study.trials(TrialState.COMPLETE)] == list(range(30))
    assert study.count() == 30
    assert study.is_finished


def _complete_all(database: URL, name: str) -> list[int]:
    storage = Storage(database)
    study, worker_id = find_study(storage, name), signed_on(storage)
    told = []
    while (one := claim(study, worker_id)) is not None:
        one.tell(TrialState.COMPLETE, one.trial.params["alpha"])
        told.append(one.trial.number)
    return told


@pytest.mark.parametrize("sampler", ["freeze-thaw", "tpe", "gp", "random"])
def test_the_largest_seed_serves_every_trial(storage: Storage, sampler: str) -> None:
    study = create_search(
        storage, small_space(sampler=sampler, protocol={"seed": 2**32 - 1}, enqueue=[]), trials=3
    )
    assert [claimed(study).trial.number for _ in range(3)] == [0, 1, 2]


def test_seed_fixes_what_a_search_with_one_worker_chooses(storage: Storage) -> None:
    # More trials than the sampler draws at random before it learns from their values.
    chosen = _chosen(storage, "first", seed=1, trials=12)
    assert _chosen(storage, "second", seed=1, trials=12) == chosen
    assert _chosen(storage, "third", seed=2, trials=3) != chosen[:3]


def _chosen(storage: Storage, name: str, *, seed: int, trials: int) -> list[dict[str, object]]:
    study = create_search(storage, small_space(protocol={"seed": seed}), name=name, trials=trials)
    return [complete_next(study, 1 / (1 + number)).params for number in range(trials)]
