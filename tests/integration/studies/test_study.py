import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.space.configuration import Value
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.definition import HELD_OUT_SELECTION, TEST_SELECTION
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import SELECTION
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space


def test_paused_study_starts_no_trial_until_it_is_resumed(storage: Storage) -> None:
    study = create_search(storage, small_space())
    elsewhere = find_study(storage, "small")
    elsewhere.pause()
    assert claim_next(study) is None
    elsewhere.resume()
    assert claim_next(study) is not None


def test_pausing_leaves_running_trials_to_their_end(storage: Storage) -> None:
    study = create_search(storage, small_space())
    claim = claimed(study)
    study.pause()
    claim.tell(TrialState.COMPLETE, 0.5)
    assert study.count(TrialState.COMPLETE) == 1


def test_study_is_finished_when_its_last_trial_ends(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=2))
    complete_next(study, 0.5)
    claim = claimed(study)
    assert not study.is_open
    assert not study.is_finished
    claim.tell(TrialState.FAIL)
    assert study.is_finished


def test_enqueued_configuration_is_the_next_trial(storage: Storage) -> None:
    study = create_search(storage, small_space(enqueue=[]))
    complete_next(study, 0.5)
    study.enqueue(ENQUEUED)
    assert complete_next(study, 0.5).params == ENQUEUED


def test_parameters_left_out_of_enqueued_configurations_differ_between_trials(
    storage: Storage,
) -> None:
    study = create_search(storage, small_space(enqueue=[]))
    for _ in range(3):
        study.enqueue({"alpha": 1.1})
    trials = [complete_next(study, 0.5).params for _ in range(3)]
    assert [params["alpha"] for params in trials] == [1.1] * 3
    assert len({params["lr"] for params in trials}) == 3


def test_enqueueing_raises_the_budget_only_when_it_is_used_up(storage: Storage) -> None:
    study = create_search(storage, small_space(trials=2))
    assert study.enqueue(ENQUEUED) == 2
    assert study.enqueue(ENQUEUED) == 3
    assert find_study(storage, "small").budget == 3
    assert study.count() == 3


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"tau": 32}, "found .*tau.*, allowed: searched parameters: alpha, lr, batch_size"),
        ({"lr": 0.1}, "configuration.lr: found 0.1, allowed: 1e-05 to 0.01"),
        ({"batch_size": 16.0}, "configuration.batch_size: found 16.0"),
    ],
)
def test_what_the_space_does_not_hold_is_not_enqueued(
    storage: Storage, configuration: dict[str, Value], message: str
) -> None:
    study = create_search(storage, small_space())
    with pytest.raises(SpaceError, match=message):
        study.enqueue(configuration)
    assert (study.count(), study.budget) == (1, 3)


def test_nothing_is_enqueued_into_a_retraining(storage: Storage) -> None:
    search = create_search(storage, small_space())
    complete_next(search, 0.5)
    retraining = create_retraining(search)
    with pytest.raises(StudyError, match='enqueue into a search such as "small"'):
        retraining.enqueue(ENQUEUED)
    assert retraining.count() == retraining.budget == 5


@pytest.mark.parametrize(
    ("validation", "selection"), [("test", TEST_SELECTION), ("held-out", HELD_OUT_SELECTION)]
)
def test_study_says_on_which_classes_it_selects(
    storage: Storage, database: URL, validation: str, selection: str
) -> None:
    study = create_search(storage, small_space(protocol={"validation": validation}))
    assert study.definition.touches_test_classes == (validation == "test")
    url = database.render_as_string(hide_password=False)
    attributes = optuna.load_study(study_name="small", storage=url).user_attrs
    assert attributes[SELECTION] == selection


def test_best_are_distinct_completed_configurations_in_order(storage: Storage) -> None:
    enqueued = [{**ENQUEUED, "batch_size": size} for size in (8, 8, 16, 32)]
    study = create_search(storage, small_space(enqueue=enqueued), trials=4)
    for value in (0.3, 0.6, 0.5):
        complete_next(study, value)
    pruned = claimed(study)
    pruned.record({}, {1: 0.9})
    pruned.tell(TrialState.PRUNED)
    assert [trial.number for trial in study.best(5)] == [1, 2]
    assert [trial.number for trial in study.best()] == [1]
