from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch import __version__
from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies.catalog import (
    create_search,
    create_searches,
    create_study,
    delete_study,
    find_study,
    list_studies,
    plan_search,
)
from histsearch.studies.claim import ClaimLostError
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.study import DEFINITION
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

ALL_KINDS_OF_DOMAINS = {
    "alpha": [0.9, 1.0, 2.0],
    "distance": ["cosine", "euclidean"],
    "bn_freeze": [True, False],
    "lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "tau": {"low": 16, "high": 32},
    "hgnn_hidden": {"low": 128, "high": 512, "step": 128},
}


def test_search_takes_name_and_budget_from_its_space_unless_told_others(storage: Storage) -> None:
    usual = create_search(storage, small_space())
    assert (usual.name, usual.budget) == ("small", 3)
    other = create_search(storage, small_space(), name="larger", trials=20)
    assert (other.name, other.budget) == ("larger", 20)
    assert usual.is_open
    assert other.is_open


def test_enqueued_configurations_come_first(storage: Storage) -> None:
    enqueued = [{**ENQUEUED, "batch_size": size} for size in (8, 16, 32)]
    study = create_search(storage, small_space(enqueue=enqueued), trials=3)
    assert [complete_next(study, 0.5).params for _ in range(3)] == enqueued
    assert claim_next(study) is None


def test_budget_without_measure_is_refused(storage: Storage) -> None:
    for trials in (0, 10**23):
        with pytest.raises(StudyError, match=f"budget of {trials} trials, allowed: 1 to 100000"):
            create_search(storage, small_space(), trials=trials)
    assert list_studies(storage) == []


def test_taken_name_is_refused_with_what_to_do(storage: Storage) -> None:
    create_search(storage, small_space(trials=5))
    with pytest.raises(StudyError, match=r"--name.*histsearch study delete small"):
        create_search(storage, small_space())
    assert find_study(storage, "small").budget == 5


def test_plain_optuna_shows_real_names_and_values(storage: Storage, database: URL) -> None:
    claim_next(create_search(storage, small_space()))
    url = database.render_as_string(hide_password=False)
    (trial,) = optuna.load_study(study_name="small", storage=url).trials
    assert trial.params == ENQUEUED


def test_definition_reads_back_as_it_was_written(storage: Storage, database: URL) -> None:
    enqueued = {
        "alpha": 2.0,
        "distance": "cosine",
        "bn_freeze": False,
        "lr": 1e-3,
        "tau": 20,
        "hgnn_hidden": 256,
    }
    space = small_space(
        search=ALL_KINDS_OF_DOMAINS,
        fixed={"batch_size": 8, "optimizer": "adamw", "weight_decay": 5e-5},
        protocol={"validation_fraction": 0.5, "seed": 3},
        enqueue=[enqueued, {"distance": "euclidean"}],
    )
    written = create_search(storage, space).definition
    read = find_study(Storage(database), "small").definition
    assert read == written
    # Equality alone takes 2 for 2.0 and 1 for true.
    assert read.model_dump_json() == written.model_dump_json()
    assert read.space == space


def test_list_holds_searches_by_name_and_no_other_optuna_study(storage: Storage) -> None:
    for name in ("second", "first"):
        create_search(storage, small_space(), name=name)
    optuna.create_study(storage=storage.optuna, study_name="foreign")
    assert [study.name for study in list_studies(storage)] == ["first", "second"]


def test_list_leaves_out_a_study_that_is_deleted_meanwhile(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept", "deleted"):
        create_search(storage, small_space(), name=name)
    get_all_studies = storage.optuna.get_all_studies

    def get_all_studies_then_delete() -> Any:
        monkeypatch.undo()
        found = get_all_studies()
        delete_study(storage, "deleted")
        return found

    monkeypatch.setattr(storage.optuna, "get_all_studies", get_all_studies_then_delete)
    assert [study.name for study in list_studies(storage)] == ["kept"]


def test_study_that_histsearch_did_not_create_is_refused(storage: Storage) -> None:
    foreign = optuna.create_study(storage=storage.optuna, study_name="foreign")
    foreign.ask()
    with pytest.raises(StudyError, match="histsearch didn't create"):
        find_study(storage, "foreign")
    with pytest.raises(StudyError, match="histsearch didn't create"):
        delete_study(storage, "foreign")


def test_name_that_is_nearly_right_is_suggested(storage: Storage) -> None:
    create_search(storage, small_space(), name="cars-first")
    with pytest.raises(StudyError, match='no study "cars-frist"; did you mean "cars-first"'):
        find_study(storage, "cars-frist")


@pytest.mark.parametrize("name", ["unlike", "foreigm"])
def test_name_unlike_any_of_a_search_leads_to_the_list(storage: Storage, name: str) -> None:
    optuna.create_study(storage=storage.optuna, study_name="foreign")
    create_search(storage, small_space())
    with pytest.raises(StudyError, match="histsearch study list"):
        find_study(storage, name)


def test_several_searches_are_created_or_none(storage: Storage) -> None:
    planned = [plan_search(small_space(), name=name) for name in ("first", "second")]
    create_search(storage, small_space(), name="second")
    with pytest.raises(StudyError, match='found a study named "second" already'):
        create_searches(storage, planned)
    assert [study.name for study in list_studies(storage)] == ["second"]
    delete_study(storage, "second")
    studies = create_searches(storage, planned)
    assert [study.name for study in studies] == ["first", "second"]
    assert [study.count(TrialState.WAITING) for study in studies] == [1, 1]


def test_deleted_study_is_gone_and_its_name_free(storage: Storage) -> None:
    for name in ("kept", "deleted"):
        claim_next(create_search(storage, small_space(), name=name))
    delete_study(storage, "deleted")
    assert [study.name for study in list_studies(storage)] == ["kept"]
    with pytest.raises(StudyError, match='found no study "deleted"'):
        delete_study(storage, "deleted")
    again = create_search(storage, small_space(), name="deleted")
    assert again.count(TrialState.RUNNING) == 0


@pytest.mark.parametrize("name", ["a[/b]", "../up", "a\nb", "x" * 101, ""])
def test_a_name_that_could_harm_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(StudyError, match="allowed: up to 100 letters"):
        create_study(
            storage,
            name,
            SearchDefinition(version="1", space=small_space()),
            budget=1,
            queue=[],
        )


@pytest.mark.parametrize("definition", [[1, 2], "text", {"version": __version__, "space": 3}])
def test_a_study_whose_definition_is_something_else_harms_no_other(
    storage: Storage, definition: object
) -> None:
    create_search(storage, small_space(), name="ours")
    theirs = create_search(storage, small_space(), name="theirs")
    theirs.optuna_study.set_user_attr(DEFINITION, definition)
    assert [study.name for study in list_studies(storage)] == ["ours"]
    with pytest.raises(StudyError, match="can't read, as it allows no such values"):
        find_study(storage, "theirs")
    for name in ("theirs", "ours"):
        delete_study(storage, name)
    assert storage.optuna.get_all_studies() == []


def test_a_study_of_another_version_harms_no_other(storage: Storage) -> None:
    create_search(storage, small_space(), name="ours")
    theirs = create_search(storage, small_space(), name="theirs")
    definition = theirs.definition.model_dump(mode="json") | {"novelty": 1, "version": "9.9"}
    theirs.optuna_study.set_user_attr(DEFINITION, definition)

    assert [study.name for study in list_studies(storage)] == ["ours"]
    with pytest.raises(StudyError, match=r"created by histsearch 9\.9"):
        find_study(storage, "theirs")
    delete_study(storage, "theirs")
    assert storage.optuna.get_all_studies()[0].study_name == "ours"


def test_a_half_created_study_can_be_deleted(storage: Storage) -> None:
    optuna.create_study(storage=storage.optuna, study_name="half")
    delete_study(storage, "half")
    assert storage.optuna.get_all_studies() == []


def test_more_enqueued_configurations_than_trials_are_refused(storage: Storage) -> None:
    space = small_space(enqueue=[ENQUEUED, {"alpha": 1.0}])
    with pytest.raises(StudyError, match="2 enqueued configurations in a budget of 1"):
        create_search(storage, space, trials=1)


def test_a_study_is_deleted_while_its_trials_are_being_written(storage: Storage) -> None:
    study = create_search(storage, small_space())
    claim = claimed(study)
    written = 0
    with ThreadPoolExecutor() as pool:
        deletion = None
        while True:
            try:
                claim.record({f"attribute {written}": 0}, {written: 0.5})
            except ClaimLostError:
                break
            written += 1
            if deletion is None and written == 5:
                deletion = pool.submit(delete_study, storage, "small")
        assert deletion is not None
        deletion.result(timeout=60)
    assert list_studies(storage) == []
