"""Which saved states in a store nobody will go on from."""

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.claim import Claim
from histsearch.studies.saved_states import Owner, Stock, remove_left_over, take_stock
from histsearch.studies.store_keys import embeddings_key, model_key, states_key, study_folder
from histsearch.studies.study import Study
from histsearch.training.checkpoint_store import (
    CheckpointStore,
    StoredContent,
    open_checkpoint_store,
)
from histsearch.training.run_states import RunStates
from tests.integration.claims import claimed
from tests.integration.studies.small_search import small_space


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return open_checkpoint_store(str(tmp_path / "checkpoints"))


def save(store: CheckpointStore, claim: Claim) -> None:
    states = states_key(claim.study, claim.trial.number)
    RunStates(store, states, claim.attempt, "this run").save({"epoch": 1})


def keys(store: CheckpointStore) -> list[str]:
    return sorted(content.key for content in store.contents())


def owners(stocks: list[Stock]) -> list[tuple[str, str, Owner]]:
    return [(stock.study, stock.key, stock.owner) for stock in stocks]


def begun(store: CheckpointStore, study: Study) -> list[Claim]:
    """A trial that is complete, one that runs, one that is paused: all with a saved state."""
    claims = [claimed(study) for _ in range(3)]
    for claim in claims:
        save(store, claim)
    claims[0].record({}, {1: 0.5})
    claims[0].tell(TrialState.COMPLETE, 0.5)
    claims[2].pause()
    return claims


def test_only_states_of_finished_trials_and_deleted_studies_are_left_over(
    storage: Storage, store: CheckpointStore
) -> None:
    deleted = create_search(storage, small_space())
    store.write(model_key(deleted, 0), b"a model")
    store.write(embeddings_key(deleted, 3), b"embeddings")
    begun(store, deleted)
    delete_study(storage, "small")
    study = create_search(storage, small_space())
    begun(store, study)
    run = f"{study_folder(study)}/1.run/attempt-1"
    store.write(f"{run}/.b.ckpt.4711", b"cut short by a kill")
    store.write(f"{study_folder(study)}/.0.pt.4711", b"a model cut short by a kill")
    store.write(embeddings_key(study, 0), b"embeddings")
    store.write(f"{study_folder(study)}/.0.npz.4711", b"embeddings cut short by a kill")
    store.write("check-0123", b"")

    stocks = take_stock(storage, store)
    both = [("small", deleted.definition.key, Owner.DELETED)]
    both += [("small", study.definition.key, Owner.HERE)]
    assert owners(stocks) == sorted(both)
    gone, here = sorted(stocks, key=lambda stock: stock.owner != Owner.DELETED)
    assert {saved.trial for saved in gone.left_over} == {0, 1, 2, 3}
    assert (gone.states, len(gone.models)) == ((), 1)
    assert {saved.trial for saved in here.left_over} == {0}
    assert {saved.trial for saved in here.states} == {1, 2}
    assert ([saved.trial for saved in here.embeddings], gone.embeddings) == ([0], ())

    remove_left_over(store, stocks)
    assert keys(store) == sorted(
        [
            model_key(deleted, 0),
            embeddings_key(study, 0),
            f"{run}/.b.ckpt.4711",
            f"{run}/a.ckpt",
            f"{study_folder(study)}/2.run/attempt-1/a.ckpt",
            "check-0123",
        ]
    )
    assert not any(stock.left_over for stock in take_stock(storage, store))


def test_what_is_another_databases_or_does_not_say_whose_it_is_stays(
    storage: Storage, store: CheckpointStore
) -> None:
    study = create_search(storage, small_space())
    old = f"-{study.definition.key}.run/attempt-1/a.ckpt"  # as version 0.1.0 named them
    finished, running = claimed(study), claimed(study)
    finished.tell(TrialState.COMPLETE, 0.5)
    left_over = f"small/{finished.trial.number}{old}"
    staying = [
        "elsewhere-0123abcd-89abcdef/0.run/attempt-1/a.ckpt",
        "elsewhere-0123abcd-89abcdef/0.pt",
        "elsewhere-0123abcd-89abcdef/0.npz",
        f"small/{running.trial.number}{old}",
        "small/1-0123abcd.run/attempt-1/a.ckpt",
        "small/7.pt",
        "holiday/photo.jpg",
        "notes.txt",
    ]
    for key in [*staying, left_over]:
        store.write(key, b"content")

    stocks = take_stock(storage, store)
    assert owners(stocks) == sorted(
        [
            ("elsewhere", "0123abcd", Owner.ELSEWHERE),
            ("small", "", Owner.UNKNOWN),
            ("small", "0123abcd", Owner.UNKNOWN),
            ("small", study.definition.key, Owner.HERE),
        ]
    )
    remove_left_over(store, stocks)
    assert keys(store) == sorted(staying)


def test_a_trial_that_begins_meanwhile_keeps_its_states(
    storage: Storage, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = store.contents

    def begin_then_list(*arguments: Any) -> list[StoredContent]:
        save(store, claimed(create_search(storage, small_space())))
        return contents(*arguments)

    monkeypatch.setattr(store, "contents", begin_then_list)
    (stock,) = take_stock(storage, store)
    assert stock.owner == Owner.HERE
    assert (len(stock.states), stock.left_over) == (1, ())


def test_a_study_of_another_version_keeps_its_states(
    storage: Storage, store: CheckpointStore
) -> None:
    study = create_search(storage, small_space())
    save(store, claimed(study))
    newer = study.definition.model_dump(mode="json") | {"novelty": 1}
    study.optuna_study.set_user_attr("histsearch.definition", newer)
    (stock,) = take_stock(storage, store, "small")
    assert (stock.owner, stock.left_over) == (Owner.HERE, ())
