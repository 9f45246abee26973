"""What a worker says and does at its end, and what it leaves."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.studies.catalog import delete_study
from histsearch.studies.study import Study
from histsearch.training.trainer import Trainer
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import create, settings


def test_a_suspended_write_of_a_worker_ends_after_half_its_grace(
    storage: Storage, data_dir: Path
) -> None:
    run_worker(storage, replace(settings(data_dir), heartbeat_seconds=14), StopRequest())
    with storage.begin() as connection:
        limit = connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
    assert limit == "42s"


def test_a_worker_says_at_its_end_what_paused_studies_have_left(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    create(storage, stripes, name="a", enqueue=[{"tau": 8}, {"tau": 16}], trials=2).pause()
    create(storage, stripes, name="b", enqueue=[{"tau": 8}], trials=4).pause()
    run_worker(storage, settings(data_dir), StopRequest())
    last = "a is paused, 2 trials wait; b is paused, 1 trial waits, 3 trials are yet to begin"
    assert caplog.messages[-1] == last
    delete_study(storage, "a")
    delete_study(storage, "b")
    run_worker(storage, settings(data_dir), StopRequest())
    assert caplog.messages[-1] == "nothing left to do"


@pytest.mark.parametrize("names", [(), ("a", "b")], ids=["every study", "named ones"])
def test_a_worker_does_not_end_over_a_study_that_was_deleted_since(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
) -> None:
    train_batch = Trainer._train_batch

    def delete_then_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        with suppress(StudyError):  # it has been already
            delete_study(storage, "a")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", delete_then_train)
    create(storage, stripes, name="a", dataset="folder:nowhere")
    served = create(storage, stripes, name="b", trials=1, epochs=1)
    run_worker(storage, settings(data_dir, *names), StopRequest())
    assert served.count(TrialState.COMPLETE) == 1


def test_a_study_of_the_name_of_one_that_was_left_is_served(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_batch = Trainer._train_batch
    again: list[Study] = []

    def replace_then_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        if not again:
            delete_study(storage, "a")
            again.append(create(storage, stripes, name="a", trials=1, epochs=1))
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", replace_then_train)
    create(storage, stripes, name="a", dataset="folder:nowhere")
    create(storage, stripes, name="b", trials=1, epochs=1)
    run_worker(storage, settings(data_dir), StopRequest())
    assert again[0].count(TrialState.COMPLETE) == 1
