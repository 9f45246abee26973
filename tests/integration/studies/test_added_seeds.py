"""Seeds that are added to a retraining."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState
from sqlalchemy.engine import URL

import histsearch
from histsearch.database.optuna_storage import OptunaStorage
from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.reports.collect import build_report
from histsearch.studies.catalog import create_search, delete_study, find_study
from histsearch.studies.retraining import create_retraining, find_retraining
from histsearch.studies.retraining_seeds import FIRST_SEED, add_seeds
from histsearch.studies.study import DEFINITION, Study
from histsearch.studies.trial_record import EPOCHS, RECALL, ROLE, SEED, SOURCE_TRIAL
from tests.integration.claims import claim_next
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

BETTER = {**ENQUEUED, "batch_size": 32}


@pytest.fixture
def search(storage: Storage) -> Study:
    """A baseline and a configuration that is better."""
    study = create_search(storage, small_space(enqueue=[ENQUEUED, BETTER], trials=2))
    for value in (0.5, 0.6):
        complete_next(study, value, best_epoch=10)
    return study


def run_all(retraining: Study) -> list[tuple[str, int]]:
    """Run what waits to its end; role and seed of each trial."""
    done = []
    while (claim := claim_next(retraining)) is not None:
        recall = 0.5 + 0.01 * (claim.seed % 3)
        claim.record({RECALL: {"1": recall}})
        claim.tell(TrialState.COMPLETE, recall)
        done.append((claim.trial.user_attrs[ROLE], claim.seed))
    return done


def test_a_finished_retraining_goes_on_with_new_seeds(search: Study) -> None:
    retraining = create_retraining(search, seeds=2, baselines=["first"])
    more = create_retraining(search, name="more", seeds=1)
    run_all(retraining)
    finished = [retraining.is_finished]
    assert list(add_seeds(search, retraining, 2)) == [FIRST_SEED + 3, FIRST_SEED + 4]
    finished.append(retraining.is_finished)
    assert retraining.budget == retraining.count() == 8
    assert sorted(run_all(retraining)) == [
        ("baseline", FIRST_SEED + 3),
        ("baseline", FIRST_SEED + 4),
        ("tuned", FIRST_SEED + 3),
        ("tuned", FIRST_SEED + 4),
    ]
    assert [*finished, retraining.is_finished] == [True, False, True]
    before, after = retraining.trials()[0], retraining.trials()[4]
    for attribute in (EPOCHS, ROLE, SOURCE_TRIAL):
        assert before.user_attrs[attribute] == after.user_attrs[attribute]
    assert {**before.params, SEED: 0} == {**after.params, SEED: 0}
    delete_study(search.storage, more.name)
    (comparison,) = build_report(search.storage, "small").comparisons
    assert (comparison.first, comparison.second) == ("tuned #1", "baseline first #0")
    assert comparison.difference is not None
    assert comparison.difference.n == 8


def test_seeds_are_added_to_runs_that_wait_and_again(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["first"])
    add_seeds(search, retraining, 1)
    add_seeds(search, retraining, 1)
    seeds = [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2]
    assert sorted(run_all(retraining)) == [
        *(("baseline", seed) for seed in seeds),
        *(("tuned", seed) for seed in seeds),
    ]


def test_retrainings_that_get_seeds_at_once_share_none(search: Study, database: URL) -> None:
    retrainings = [create_retraining(search, name=name, seeds=1) for name in ("one", "two")]

    def add(name: str) -> range:
        return add_seeds(*find_retraining(Storage(database), name), 3)

    with ThreadPoolExecutor(4) as pool:
        added = [seed for seeds in pool.map(add, ("one", "two") * 2) for seed in seeds]
    assert sorted(added) == list(range(FIRST_SEED + 2, FIRST_SEED + 14))
    assert [(one.count(), one.budget) for one in retrainings] == [(7, 7), (7, 7)]


def test_all_seeds_are_added_or_none(search: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["first"])

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OptunaStorage, "set_study_user_attr", cut)
        with pytest.raises(KeyboardInterrupt):
            add_seeds(search, retraining, 5)
    assert (retraining.count(), retraining.budget) == (2, 2)
    add_seeds(search, retraining, 1)
    assert (retraining.count(), retraining.budget) == (4, 4)


def test_a_retraining_of_an_earlier_histsearch_is_read_and_given_seeds(search: Study) -> None:
    retraining = create_retraining(search, seeds=2)
    attributes = retraining.optuna_study.user_attrs
    retraining.optuna_study.set_user_attr(DEFINITION, {**attributes[DEFINITION], "seeds": 2})
    narrow = {**retraining.definition.distributions(), SEED: IntDistribution(0, 1)}
    with pytest.warns(UserWarning, match="out of range"):  # its seeds were 0 and 1
        retraining.optuna_study.ask(narrow)
    read = find_study(search.storage, "small-retrain")
    assert read.definition == retraining.definition
    add_seeds(search, read, 1)
    assert run_all(read) == [("tuned", FIRST_SEED + 1), ("tuned", FIRST_SEED + 2)]


def test_the_retraining_is_found_by_the_search_or_by_itself(search: Study) -> None:
    storage = search.storage
    with pytest.raises(StudyError, match='found no retraining of "small"; create one with'):
        find_retraining(storage, "small")
    for name in ("small-retrain", "more"):
        create_retraining(search, seeds=1, name=name)
    for arguments, found in (
        (("small",), "small-retrain"),
        (("small", "more"), "more"),
        (("more",), "more"),
    ):
        of, retraining = find_retraining(storage, *arguments)
        assert (of.name, retraining.name) == ("small", found)
    with pytest.raises(StudyError, match=r'no retraining "less" of "small", allowed: more, small-'):
        find_retraining(storage, "small", "less")
    with pytest.raises(StudyError, match=r'--name more for "small-retrain", itself a retraining'):
        find_retraining(storage, "small-retrain", "more")


def test_seeds_that_cannot_be_added_are_refused(
    search: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    retraining = create_retraining(search, seeds=1)
    with pytest.raises(StudyError, match="found 0 seeds to add, allowed: 1 to 1,000 at once"):
        add_seeds(search, retraining, 0)
    with pytest.raises(StudyError, match="found 1,001 seeds to add, allowed: 1 to 1,000 at once"):
        add_seeds(search, retraining, 1_001)
    with monkeypatch.context() as patch:
        patch.setattr(histsearch, "__version__", "9.9.9")
        with pytest.raises(StudyError, match='"small-retrain", a study of histsearch'):
            add_seeds(search, retraining, 1)
    assert retraining.count() == 1
    delete_study(search.storage, "small-retrain")
    with pytest.raises(StudyError, match='found no study "small-retrain" any more'):
        add_seeds(search, retraining, 1)
