"""Workers that note something with a study at the same moment don't wait for each other in turn."""

import pytest

from histsearch.database.storage import Storage
from histsearch.search.freeze_thaw_study import FIT
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study
from tests.integration.studies.small_search import small_space


@pytest.fixture
def study(storage: Storage) -> Study:
    return create_search(storage, small_space(sampler="freeze-thaw", enqueue=[]))


def test_a_verdict_notes_nothing_while_another_worker_claims(study: Study) -> None:
    hurried = study.for_verdicts().optuna_study
    with study.storage.lock(study.id) as connection:
        study.within(connection).optuna_study.set_user_attr(FIT, "the claim's")
        hurried.set_user_attr(FIT, "the verdict's")  # doesn't wait
    assert study.optuna_study.user_attrs[FIT] == "the claim's"
    hurried.set_user_attr(FIT, "the verdict's")
    assert study.optuna_study.user_attrs[FIT] == "the verdict's"


def test_what_is_noted_while_a_trial_is_created_waits_for_nothing(study: Study) -> None:
    with study.storage.lock(study.id) as connection:
        within = study.storage.optuna_within(connection)
        within.create_new_trial(study.id)
        # It holds its row from now on, and would wait for the study's.
        study.storage.optuna.set_study_user_attr(study.id, FIT, "another's")
        within.set_study_user_attr(study.id, FIT, "the claim's")
    assert study.optuna_study.user_attrs[FIT] == "the claim's"


def test_the_first_to_note_something_is_believed(study: Study) -> None:
    storage = study.storage.optuna
    assert storage.note_study_attr(study.id, "images", "these") == "these"
    assert storage.note_study_attr(study.id, "images", "others") == "these"
    with pytest.raises(KeyError):
        storage.note_study_attr(study.id + 1, "images", "these")
