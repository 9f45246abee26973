import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.limits import change_limits
from histsearch.studies.retraining import create_retraining
from histsearch.studies.stopping import end_if_due
from histsearch.studies.study import Study
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import small_space


def search(storage: Storage, **changes: object) -> Study:
    table = {"sampler": "hist", "search": {"tau": [4, 8]}, "enqueue": [], "trials": 2}
    return create_search(storage, small_space(**table | changes))


def complete(study: Study, value: float, hours: float = 0.0) -> None:
    claim = claimed(study)
    claim.record({trial_record.SECONDS: 3600 * hours, trial_record.BEST_EPOCH: 1}, {1: value})
    claim.tell(TrialState.COMPLETE, value)


def test_a_search_whose_budget_is_used_up_goes_on_with_a_larger_one(storage: Storage) -> None:
    study = search(storage, decided=False)
    complete(study, 0.5)
    complete(study, 0.6)
    assert claim_next(study) is None
    change_limits(study, {"trials": 3})
    study = find_study(storage, "small")
    assert study.budget == 3
    complete(study, 0.7)
    assert claim_next(study) is None


def test_a_search_that_ended_by_its_hours_goes_on_with_more_until_those_are_used(
    storage: Storage,
) -> None:
    study = search(storage, trials=9, gpu_hours=1, decided=False)
    complete(study, 0.5, hours=1.5)
    end_if_due(study)
    assert study.ended is not None
    for hours in (3, False):
        change_limits(study, {"gpu_hours": hours})
        study = find_study(storage, "small")
        assert study.ended is None
        complete(study, 0.5, hours=2.0)
        end_if_due(study)
        assert (study.ended is None) == (hours is False)


def test_a_search_that_is_due_by_its_new_limits_too_ends_again(storage: Storage) -> None:
    study = search(storage, trials=9, gpu_hours=1, decided=False)
    complete(study, 0.5, hours=1.5)
    end_if_due(study)
    change_limits(study, {"trials": 20})
    study = find_study(storage, "small")
    end_if_due(study)
    assert claim_next(study) is None
    assert study.is_finished


def test_the_rule_for_the_winner_changes_alone(storage: Storage) -> None:
    study = search(storage)
    before = study.definition.space
    change_limits(study, {"decided": {"delta": 0.25}})
    after = find_study(storage, "small").definition.space
    assert after.decided is not None
    assert (after.decided.delta, after.decided.epsilon) == (0.25, 0.05)
    assert after.model_copy(update={"decided": before.decided}) == before
    change_limits(study, {"decided": False})
    assert find_study(storage, "small").definition.space.decided is None


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"trials": 1}, StudyError, r"found trials = 1, allowed: at least 2"),
        ({"trials": 0}, SpaceError, r'"small": trials: found 0, allowed: a whole number >= 1'),
        ({"trials": 9, "gpu_hours": -1}, SpaceError, r"gpu_hours: found -1, allowed: a number > 0"),
        ({"trials": 9, "lr": 0.1}, StudyError, r'found the key "lr", allowed: trials, gpu_hours'),
        ({"decided": {"delta": 0}}, SpaceError, r"decided.delta: found 0, allowed: a number > 0"),
    ],
)
def test_what_is_not_allowed_changes_nothing(
    storage: Storage, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    study = search(storage)
    complete(study, 0.5)
    claimed(study)
    with pytest.raises(error, match=sentence):
        change_limits(study, changes)
    assert find_study(storage, "small").definition == study.definition
    assert study.budget == 2


def test_a_retraining_has_no_limits_to_change(storage: Storage) -> None:
    study = search(storage)
    complete(study, 0.5)
    retraining = create_retraining(study, seeds=1)
    with pytest.raises(StudyError, match="a retraining, which ends with its seeds"):
        change_limits(retraining, {"trials": 9})
