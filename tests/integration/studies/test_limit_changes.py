import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.search.study_posterior import StudyPosterior
from histsearch.space.space import Decided
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, delete_study, find_study
from histsearch.studies.definition import Limits
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.retraining import create_retraining
from histsearch.studies.stages import ENDED
from histsearch.studies.study import LIMITS, Study
from tests.integration.claims import claim_next, claimed, end_if_due
from tests.integration.studies.small_search import small_space


def search(storage: Storage, **changes: object) -> Study:
    table = {"sampler": "freeze-thaw", "search": {"tau": [4, 8]}, "enqueue": [], "trials": 2}
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


def test_each_limit_changes_alone(storage: Storage) -> None:
    study = search(storage, trials=9)
    stale = find_study(storage, "small")
    change_limits(study, {"trials": 10})
    change_limits(study, {"gpu_hours": 3})
    change_limits(stale, {"decided": {"delta": 0.25}})
    for known in (study, stale, find_study(storage, "small")):
        assert known.limits == Limits(3.0, Decided(delta=0.25, epsilon=0.05))
        assert known.budget == 10
    change_limits(study, {"decided": False})
    assert study.limits == Limits(3.0, None)
    assert study.definition == find_study(storage, "small").definition


def test_a_running_trial_sees_the_new_hours(storage: Storage) -> None:
    study = search(storage, trials=9, gpu_hours=1, decided=False)
    claim = claimed(study)
    claim.record({trial_record.SECONDS: 5400.0, trial_record.BEST_EPOCH: 1}, {1: 0.5})
    dues = [claim.study.is_due]
    for hours in (2, 1):
        change_limits(study, {"gpu_hours": hours})
        dues.append(claim.study.is_due)
    assert dues == [True, False, True]


def test_a_verdict_by_the_old_limits_is_dropped(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search(storage, trials=9, decided={"delta": 50.0, "epsilon": 0.9})
    complete(study, 0.5)
    complete(study, 0.5)

    def change_meanwhile(*_: object) -> float:
        change_limits(study, {"decided": {"delta": 1.0}})
        return 0.0

    monkeypatch.setattr(StudyPosterior, "chance_of_better", change_meanwhile)
    end_if_due(find_study(storage, "small"))
    assert study.ended is None
    assert study.chance_of_better is None
    monkeypatch.undo()
    end_if_due(study)
    assert study.chance_of_better is not None, "asked anew"


def test_a_study_that_is_paused_meanwhile_does_not_end(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search(storage, trials=9, decided={"delta": 50.0, "epsilon": 0.9})
    complete(study, 0.5)
    complete(study, 0.5)

    def pause_meanwhile(*_: object) -> float:
        study.pause()
        return 0.0

    monkeypatch.setattr(StudyPosterior, "chance_of_better", pause_meanwhile)
    end_if_due(find_study(storage, "small"))
    assert study.ended is None
    study.resume()
    end_if_due(study)
    assert study.ended is not None


def test_what_was_doubted_by_another_rule_is_forgotten(storage: Storage) -> None:
    study = search(storage, trials=9)
    complete(study, 0.5)
    end_if_due(study)
    assert study.chance_of_better == 1.0
    change_limits(study, {"decided": False})
    assert study.chance_of_better is None


def test_an_ended_search_is_closed_though_its_limits_are_gone(storage: Storage) -> None:
    study = search(storage, trials=9, gpu_hours=1, decided=False)
    claim = claimed(study)
    claim.record({trial_record.SECONDS: 5400.0, trial_record.BEST_EPOCH: 1}, {1: 0.5})
    claim.pause()
    other = claimed(study)
    other.record({trial_record.BEST_EPOCH: 1}, {1: 0.9})
    other.tell(TrialState.COMPLETE, 0.9)
    study.optuna_study.set_user_attr(ENDED, "by hours that were taken off just then")
    study.optuna_study.set_user_attr(LIMITS, Limits(None, None).to_json())
    end_if_due(study)
    assert study.is_finished


def test_the_hours_of_a_grid_change_though_more_was_enqueued(storage: Storage) -> None:
    study = search(storage, sampler="grid", pruner="none", gpu_hours=5)
    complete(study, 0.5)
    complete(study, 0.5)
    study.enqueue({"tau": 4})
    change_limits(study, {"gpu_hours": 48})
    assert (study.budget, study.limits.gpu_hours) == (3, 48.0)
    with pytest.raises(SpaceError, match="at most 2, the points of the grid"):
        change_limits(study, {"trials": 4})


def test_a_study_that_was_deleted_meanwhile_is_named(storage: Storage) -> None:
    study = search(storage)
    delete_study(storage, "small")
    with pytest.raises(StudyError, match=r'found no study "small" any more'):
        change_limits(study, {"trials": 9})


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"trials": 1}, StudyError, r"found trials = 1, allowed: at least 2"),
        ({"trials": 0}, SpaceError, r'"small": trials: found 0, allowed: a whole number from 1 to'),
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
    before = study.limits
    with pytest.raises(error, match=sentence):
        change_limits(study, changes)
    assert study.limits == before
    assert study.budget == 2


def test_a_retraining_has_no_limits_to_change(storage: Storage) -> None:
    study = search(storage)
    complete(study, 0.5)
    retraining = create_retraining(study, seeds=1)
    with pytest.raises(
        StudyError, match=r'small-retrain --add-seeds N, or set a search such as "small"'
    ):
        change_limits(retraining, {"trials": 9})
