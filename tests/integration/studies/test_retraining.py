import optuna
import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies.catalog import create_search, delete_study, find_study, list_studies
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import RETRAIN_SELECTION, SELECTION, Study
from histsearch.studies.trial_record import BASELINE, EPOCHS, ROLE, SOURCE_TRIAL, TUNED
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

WORST = {**ENQUEUED, "batch_size": 8}
BEST = {**ENQUEUED, "batch_size": 16}
SECOND = {**ENQUEUED, "batch_size": 32}


@pytest.fixture
def search(storage: Storage) -> Study:
    """Four completed trials of three configurations, the best of them twice."""
    study = create_search(storage, small_space(enqueue=[WORST, BEST, SECOND, BEST]), trials=4)
    for value, best_epoch in [(0.2, 9), (0.6, 4), (0.5, 7), (0.55, 6)]:
        complete_next(study, value, best_epoch=best_epoch)
    return study


def _claimed_runs(retraining: Study) -> list[tuple[dict[str, object], dict[str, object]]]:
    runs = []
    while (claim := claim_next(retraining)) is not None:
        runs.append((claim.trial.params, claim.trial.user_attrs))
    return runs


def test_best_configurations_run_with_every_seed_for_their_best_epoch(search: Study) -> None:
    retraining = create_retraining(search, top=2, seeds=2)
    assert retraining.name == "small-retrain"
    assert retraining.budget == 4
    tuned_best = {ROLE: TUNED, SOURCE_TRIAL: 1, EPOCHS: 4}
    tuned_second = {ROLE: TUNED, SOURCE_TRIAL: 2, EPOCHS: 7}
    assert _claimed_runs(retraining) == [
        ({**BEST, "seed": 0}, tuned_best),
        ({**BEST, "seed": 1}, tuned_best),
        ({**SECOND, "seed": 0}, tuned_second),
        ({**SECOND, "seed": 1}, tuned_second),
    ]


def test_baseline_is_the_first_trial_run_as_long_as_the_best(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baseline=True)
    assert _claimed_runs(retraining) == [
        ({**BEST, "seed": 0}, {ROLE: TUNED, SOURCE_TRIAL: 1, EPOCHS: 4}),
        ({**WORST, "seed": 0}, {ROLE: BASELINE, SOURCE_TRIAL: 0, EPOCHS: 4}),
    ]


def test_baseline_that_is_the_best_itself_is_retrained_once(storage: Storage) -> None:
    search = create_search(storage, small_space())
    complete_next(search, 0.5, best_epoch=3)
    retraining = create_retraining(search, seeds=1, baseline=True)
    assert _claimed_runs(retraining) == [
        ({**ENQUEUED, "seed": 0}, {ROLE: TUNED, SOURCE_TRIAL: 0, EPOCHS: 3}),
    ]


def test_the_best_epoch_is_that_of_the_mean_curve(storage: Storage) -> None:
    search = create_search(storage, small_space(enqueue=[BEST, BEST, BEST], trials=3))
    lucky = complete_next(search, 0.71, best_epoch=1)
    for _ in range(2):
        complete_next(search, 0.70, best_epoch=8)
    assert search.best() == [lucky]
    assert search.best_epoch(lucky) == 8
    assert [run[EPOCHS] for _, run in _claimed_runs(create_retraining(search, seeds=1))] == [8]


def test_a_trial_added_without_epochs_is_retrained_for_all(storage: Storage) -> None:
    search = create_search(storage, small_space())
    distributions = search.definition.distributions()
    search.optuna_study.add_trial(
        optuna.trial.create_trial(params=BEST, distributions=distributions, value=0.9)
    )
    retraining = create_retraining(search, seeds=1)
    assert [run[EPOCHS] for _, run in _claimed_runs(retraining)] == [10]


def test_baseline_needs_a_configuration_the_space_enqueued(storage: Storage) -> None:
    search = create_search(storage, small_space(enqueue=[]))
    complete_next(search, 0.5, best_epoch=3)
    with pytest.raises(StudyError, match="no baseline"):
        create_retraining(search, baseline=True)


def test_seed_of_a_retraining_run_is_its_parameter(search: Study) -> None:
    retraining = create_retraining(search, seeds=3)
    claims = [claimed(retraining) for _ in range(3)]
    assert [claim.seed for claim in claims] == [0, 1, 2]


def test_retraining_says_what_it_is(search: Study) -> None:
    retraining = create_retraining(search, name="final", top=2, baseline=True)
    read = find_study(search.storage, "final")
    assert read.definition == retraining.definition
    assert read.definition.kind == "retrain"
    assert read.definition.source == "small"
    assert read.definition.space.search == {
        "alpha": (0.9,),
        "lr": (0.0001,),
        "batch_size": (16, 32, 8),
    }
    assert read.optuna_study.user_attrs[SELECTION] == RETRAIN_SELECTION


def test_retraining_of_a_search_on_test_classes_selects_nothing_on_them(storage: Storage) -> None:
    search = create_search(storage, small_space(protocol={"validation": "test"}))
    complete_next(search, 0.5)
    assert not create_retraining(search).definition.touches_test_classes


def test_search_without_completed_trial_is_not_retrained(storage: Storage) -> None:
    search = create_search(storage, small_space())
    claim = claimed(search)
    claim.tell(TrialState.FAIL)
    with pytest.raises(StudyError, match='found 0 distinct completed configurations in "small"'):
        create_retraining(search)
    assert [study.name for study in list_studies(storage)] == ["small"]


def test_more_than_was_completed_and_less_than_one_run_are_refused(search: Study) -> None:
    with pytest.raises(StudyError, match=r"found 3 distinct .* needed: 4.*smaller --top"):
        create_retraining(search, top=4)
    with pytest.raises(StudyError, match="found 0 configurations x 3 seeds"):
        create_retraining(search, top=0)
    with pytest.raises(StudyError, match="found 1 configuration x 0 seeds"):
        create_retraining(search, seeds=0)


def test_retraining_is_not_retrained(search: Study) -> None:
    retraining = create_retraining(search)
    with pytest.raises(StudyError, match=r'"small-retrain", itself a retraining.*"small"'):
        create_retraining(retraining)


def test_second_retraining_needs_another_name(search: Study) -> None:
    create_retraining(search)
    with pytest.raises(StudyError, match=r'named "small-retrain" already.*--name'):
        create_retraining(search)
    assert create_retraining(search, name="again").is_open


def test_a_search_is_deleted_after_its_retrainings(search: Study) -> None:
    create_retraining(search)
    with pytest.raises(StudyError, match=r'retrainings of "small", .* small-retrain; delete them'):
        delete_study(search.storage, "small")
    for name in ("small-retrain", "small"):
        delete_study(search.storage, name)
    assert list_studies(search.storage) == []
