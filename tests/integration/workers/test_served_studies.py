"""The studies that a worker serves, looked at again when they change."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.limit_changes import change_limits
from histsearch.studies.standing import STANDING
from histsearch.studies.study import Study
from histsearch.workers.served_studies import ServedStudies
from tests.integration.claims import claimed
from tests.integration.statements import statements_on
from tests.integration.studies.small_search import complete_next, complete_with, small_space
from tests.integration.worker_settings import worker_settings


def served(storage: Storage, *names: str) -> ServedStudies:
    settings = worker_settings(Path(), *names, drain=False)
    return ServedStudies(storage, settings)


def finished(storage: Storage, name: str) -> Study:
    study = create_search(storage, small_space(trials=1), name=name)
    complete_next(study, 0.5)
    assert study.is_finished
    return study


def test_finished_studies_cost_one_question_for_all_of_them(storage: Storage) -> None:
    for name in ("a", "b", "c"):
        finished(storage, name)
    studies = served(storage)
    assert studies.open() == []
    with statements_on(storage) as asked:
        assert studies.open() == []
    assert len(asked) == 1


def test_a_study_that_gets_work_again_is_served_again(storage: Storage) -> None:
    study = finished(storage, "a")
    other = finished(storage, "b")
    studies = served(storage)
    assert studies.open() == []
    change_limits(study, {"trials": 2})
    assert [one.name for one in studies.open()] == ["a"]
    url = storage.url.render_as_string(hide_password=False)
    optuna.load_study(study_name=other.name, storage=url).enqueue_trial({"alpha": 1.0})
    assert {one.name for one in studies.open()} == {"a", "b"}


@pytest.mark.parametrize("names", [(), ("new", "old")])
def test_studies_come_and_go(storage: Storage, names: tuple[str, ...]) -> None:
    optuna.create_study(storage=storage.optuna, study_name="foreign")
    create_search(storage, small_space(), name="old")
    studies = served(storage, *names)
    (old,) = studies.all()
    create_search(storage, small_space(), name="new")
    assert [one.name for one in studies.open()] == ["new", "old"]
    delete_study(storage, "old")
    assert [one.name for one in studies.all()] == ["new"]
    create_search(storage, small_space(trials=2), name="old")
    assert [one.id == old.id for one in studies.all() if one.name == "old"] == [False]


def test_an_unchanged_definition_is_read_once(storage: Storage) -> None:
    study = create_search(storage, small_space())
    studies = served(storage)
    (before,) = studies.open()
    claimed(study)
    (after,) = studies.open()
    assert after is before
    assert after.count(TrialState.RUNNING) == 1


def test_who_finds_a_search_finished_stores_its_last_answer_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = small_space(
        sampler="freeze-thaw", enqueue=[], search={"tau": [4, 8, 16]}, epochs=2, trials=2
    )
    study = create_search(storage, space)
    first, last = (complete_with(study, {1: value, 2: value + 0.1}).params for value in (0.3, 0.7))
    assert served(storage).open() == []
    stored = study.optuna_study.user_attrs[STANDING]
    assert stored["standing"]["configurations"][0] == last != first
    asked: list[Study] = []
    monkeypatch.setattr(Study, "posterior", asked.append)
    assert served(storage).open() == []
    assert asked == []
