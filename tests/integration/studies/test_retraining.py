import optuna
import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.space.space import Space
from histsearch.studies.catalog import create_search, delete_study, find_study, list_studies
from histsearch.studies.definition import RETRAIN_SELECTION
from histsearch.studies.retraining import create_retraining, create_retrainings
from histsearch.studies.retraining_seeds import FIRST_SEED
from histsearch.studies.study import DEFINITION, SELECTION, Study
from histsearch.studies.trial_record import (
    ALSO_BASELINES,
    BASELINE,
    BASELINE_NAME,
    EPOCHS,
    ROLE,
    SOURCE_TRIAL,
    TUNED,
)
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

WORST = {**ENQUEUED, "batch_size": 8}
BEST = {**ENQUEUED, "batch_size": 16}
SECOND = {**ENQUEUED, "batch_size": 32}
AS_FIRST = {ROLE: BASELINE, BASELINE_NAME: "first"}
AUTHORS = {"name": "authors", "alpha": 1.5, "lr": 0.0003}


@pytest.fixture
def search(storage: Storage) -> Study:
    """Four completed trials of three configurations, the best of them twice."""
    study = create_search(storage, small_space(enqueue=[WORST, BEST, SECOND, BEST]), trials=4)
    for value in (0.2, 0.6, 0.5, 0.55):
        complete_next(study, value, best_epoch=10)
    return study


def _claimed_runs(retraining: Study) -> list[tuple[dict[str, object], dict[str, object]]]:
    runs = []
    while (claim := claim_next(retraining)) is not None:
        runs.append((claim.trial.params, claim.trial.user_attrs))
    return runs


def test_best_configurations_run_with_every_seed(search: Study) -> None:
    retraining = create_retraining(search, top=2, seeds=2)
    assert retraining.name == "small-retrain"
    assert retraining.budget == 4
    tuned_best = {ROLE: TUNED, SOURCE_TRIAL: 1, EPOCHS: 10}
    tuned_second = {ROLE: TUNED, SOURCE_TRIAL: 2, EPOCHS: 10}
    assert _claimed_runs(retraining) == [
        ({**BEST, "seed": FIRST_SEED}, tuned_best),
        ({**BEST, "seed": FIRST_SEED + 1}, tuned_best),
        ({**SECOND, "seed": FIRST_SEED}, tuned_second),
        ({**SECOND, "seed": FIRST_SEED + 1}, tuned_second),
    ]


def test_retrainings_are_created_together_or_not_at_all(search: Study) -> None:
    """The second has the name of the first, which only the database notices."""
    with pytest.raises(StudyError, match='found a study named "small-retrain" already'):
        create_retrainings([search, search], seeds=1)
    assert [study.name for study in list_studies(search.storage)] == ["small"]


def test_baseline_is_the_first_trial(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["first"])
    assert _claimed_runs(retraining) == [
        ({**BEST, "seed": FIRST_SEED}, {ROLE: TUNED, SOURCE_TRIAL: 1, EPOCHS: 10}),
        ({**WORST, "seed": FIRST_SEED}, AS_FIRST | {SOURCE_TRIAL: 0, EPOCHS: 10}),
    ]


def test_baseline_that_is_the_best_itself_is_retrained_once(storage: Storage) -> None:
    search = create_search(storage, small_space())
    complete_next(search, 0.5, best_epoch=3)
    retraining = create_retraining(search, seeds=1, baselines=["first"])
    assert _claimed_runs(retraining) == [
        (
            {**ENQUEUED, "seed": FIRST_SEED},
            {ROLE: TUNED, SOURCE_TRIAL: 0, EPOCHS: 3, ALSO_BASELINES: ["first"]},
        ),
    ]


def test_a_trial_added_without_epochs_is_retrained_for_all(storage: Storage) -> None:
    search = create_search(storage, small_space())
    distributions = search.definition.distributions()
    search.optuna_study.add_trial(
        optuna.trial.create_trial(params=BEST, distributions=distributions, value=0.9)
    )
    retraining = create_retraining(search, seeds=1)
    assert [run[EPOCHS] for _, run in _claimed_runs(retraining)] == [10]


def test_a_baseline_that_is_not_there_is_refused(storage: Storage) -> None:
    search = create_search(storage, small_space(enqueue=[]))
    complete_next(search, 0.5, best_epoch=3)
    refusal = r'found the baseline "first" of "small", allowed: none, as its space holds neither'
    with pytest.raises(StudyError, match=refusal):
        create_retraining(search, baselines=["first"])
    named = create_search(storage, small_space(baseline=[AUTHORS]), name="named")
    complete_next(named, 0.5, best_epoch=3)
    with pytest.raises(StudyError, match=r'"author" of "named", allowed: first, authors$'):
        create_retraining(named, baselines=["authors", "author"])
    assert {study.name for study in list_studies(storage)} == {"small", "named"}


def test_seeds_of_retrainings_are_their_own_parameter_and_no_others(storage: Storage) -> None:
    search = create_search(storage, small_space(protocol={"seed": 7}))
    first = claimed(search)
    assert first.seed == 7
    first.tell(TrialState.COMPLETE, 0.5)
    retraining = create_retraining(search, seeds=3)
    more = create_retraining(search, name="more", seeds=2)
    seeds = [claimed(study).seed for study in (retraining,) * 3 + (more,) * 2]
    assert seeds == list(range(FIRST_SEED + 7, FIRST_SEED + 12)), "those of more are new ones"


def test_retraining_says_what_it_is(search: Study) -> None:
    retraining = create_retraining(search, name="final", top=2, baselines=["first"])
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


def test_both_definitions_are_kept_in_the_form_that_other_versions_read(search: Study) -> None:
    retraining = create_retraining(search)
    kept, retrained = (
        study.optuna_study.user_attrs[DEFINITION]
        for study in (search, find_study(search.storage, retraining.name))
    )
    assert (
        list(kept) == list(retrained) == ["kind", "version", "key", "providers", "space", "source"]
    )
    assert [kept["kind"], retrained["kind"]] == ["search", "retrain"]
    assert [kept["source"], retrained["source"]] == [None, "small"]
    keys = [key for key in Space.model_fields if key != "baseline"]
    assert list(kept["space"]) == list(retrained["space"]) == keys
    assert retrained["space"] == kept["space"] | {
        "sampler": {"name": "random"},
        "pruner": {"name": "none"},
        "gpu_hours": None,
        "decided": None,
        "search": {"alpha": [0.9], "lr": [0.0001], "batch_size": [16]},
        "enqueue": [],
    }


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
    with pytest.raises(StudyError, match="found 0 configurations x 5 seeds"):
        create_retraining(search, top=0)
    with pytest.raises(StudyError, match="found 1 configuration x 0 seeds"):
        create_retraining(search, seeds=0)
    with pytest.raises(StudyError, match=r"x 1,000,000,000 seeds, allowed: .* 1 to 1,000 seeds"):
        create_retraining(search, seeds=10**9)


def test_retraining_is_not_retrained(search: Study) -> None:
    retraining = create_retraining(search)
    with pytest.raises(
        StudyError, match=r'"small-retrain", itself a retraining.*"small", or --add'
    ):
        create_retraining(retraining)


def test_second_retraining_needs_another_name(search: Study) -> None:
    create_retraining(search)
    with pytest.raises(StudyError, match=r'named "small-retrain" already.*--add-seeds N.*--name'):
        create_retraining(search)
    assert create_retraining(search, name="again").is_open


def test_a_search_is_deleted_after_its_retrainings(search: Study) -> None:
    create_retraining(search)
    with pytest.raises(StudyError, match=r'retrainings of "small", .* small-retrain; delete them'):
        delete_study(search.storage, "small")
    for name in ("small-retrain", "small"):
        delete_study(search.storage, name)
    assert list_studies(search.storage) == []
