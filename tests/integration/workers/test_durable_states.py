"""A worker that is killed around the writing of a state, and what becomes of its trial."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.exceptions import StoreFullError
from histsearch.studies.claim import Claim
from histsearch.studies.study import Study
from histsearch.training.checkpoint_store import CheckpointStore, Fill
from histsearch.training.state_writer import StateWriter
from histsearch.training.trainer import Trainer
from histsearch.workers.search_run import SearchRun
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import DeviceFaultError, run_worker
from tests.integration.workers.test_worker import create, settings
from tests.waiting import wait_until

LIMIT_SECONDS = 120.0
ENQUEUED: list[dict[str, Any]] = [{"batch_size": 8, "tau": 8, "lambda_s": 1.0}]

fork = multiprocessing.get_context("fork")


def hang_until_killed(reached: Event) -> None:
    reached.set()
    threading.Event().wait(LIMIT_SECONDS)


def let_states_hang(patch: pytest.MonkeyPatch, durable: int, reached: Event) -> None:
    """Keep all states but the first ones from becoming durable."""
    write_from = CheckpointStore.write_from
    written: list[str] = []

    def write(store: CheckpointStore, key: str, fill: Fill) -> None:
        if key.endswith(".ckpt"):
            written.append(key)
            if len(written) > durable:
                hang_until_killed(reached)
        write_from(store, key, fill)

    patch.setattr(CheckpointStore, "write_from", write)


def leave_after_each_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SearchRun, "_is_due_to_leave", lambda *_: True)


class Workers:
    """Workers over the same studies: some in processes of their own, to be killed."""

    def __init__(self, url: URL, storage: Storage, data_dir: Path, folder: Path) -> None:
        self._url = url
        self._storage = storage
        self._settings = replace(
            settings(data_dir), checkpoints=str(folder / "states"), heartbeat_seconds=0.1
        )

    def start(self, change: Callable[[pytest.MonkeyPatch], None]) -> Callable[[], None]:
        """Start one in a process with changed code; returns what kills it."""

        def work() -> None:
            change(pytest.MonkeyPatch())
            run_worker(Storage(self._url), self._settings, StopRequest())

        process = fork.Process(target=work)
        process.start()

        def kill() -> None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(LIMIT_SECONDS)
            assert process.exitcode == -signal.SIGKILL

        return kill

    def run(self) -> None:
        """Run one in this process until nothing is left to do."""
        run_worker(self._storage, self._settings, StopRequest())


@pytest.fixture
def workers(database: URL, storage: Storage, data_dir: Path, tmp_path: Path) -> Workers:
    return Workers(database, storage, data_dir, tmp_path)


def curve(study: Study) -> dict[int, float]:
    (trial,) = study.trials()
    return trial.intermediate_values


@pytest.fixture
def undisturbed(storage: Storage, stripes: dict[str, Any], workers: Workers) -> dict[int, float]:
    study = create(storage, stripes, name="undisturbed", trials=1, enqueue=ENQUEUED)
    workers.run()
    return curve(study)


def test_training_goes_on_while_a_state_is_written_and_a_kill_meanwhile_loses_nothing(
    storage: Storage,
    stripes: dict[str, Any],
    workers: Workers,
    undisturbed: dict[int, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    study = create(storage, stripes, trials=1, enqueue=ENQUEUED)
    writing = fork.Event()
    kill = workers.start(lambda patch: let_states_hang(patch, 1, writing))
    assert writing.wait(LIMIT_SECONDS)
    wait_until(lambda: list(curve(study)) == [1, 2, 3])
    assert study.trials()[0].state == TrialState.RUNNING, "its outcome waits for its state"
    kill()

    workers.run()
    assert "#0  resumed after warm-up epoch 1" in caplog.text
    assert curve(study) == undisturbed
    assert study.trials()[0].state == TrialState.COMPLETE


def test_a_trial_whose_state_is_not_durable_yet_is_not_told_as_paused(
    storage: Storage,
    stripes: dict[str, Any],
    workers: Workers,
    undisturbed: dict[int, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    changes = {"sampler": "freeze-thaw", "decided": False}
    study = create(storage, stripes, trials=1, enqueue=ENQUEUED, **changes)
    writing, waiting = fork.Event(), fork.Event()
    settle = StateWriter.settle

    def note_and_settle(writer: StateWriter) -> bool:
        waiting.set()
        return settle(writer)

    def change(patch: pytest.MonkeyPatch) -> None:
        leave_after_each_epoch(patch)
        let_states_hang(patch, 1, writing)
        patch.setattr(StateWriter, "settle", note_and_settle)

    kill = workers.start(change)
    assert writing.wait(LIMIT_SECONDS)
    assert waiting.wait(LIMIT_SECONDS)
    wait_until(lambda: list(curve(study)) == [1, 2])
    (trial,) = study.trials()
    assert trial.state == TrialState.RUNNING
    assert not trial.user_attrs.get("paused")
    kill()

    workers.run()
    assert "#0  resumed after warm-up epoch 1" in caplog.text
    assert curve(study) == undisturbed


def test_a_kill_between_a_durable_state_and_its_telling_loses_nothing(
    storage: Storage,
    stripes: dict[str, Any],
    workers: Workers,
    undisturbed: dict[int, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    changes = {"sampler": "freeze-thaw", "decided": False}
    study = create(storage, stripes, trials=1, enqueue=ENQUEUED, **changes)
    telling = fork.Event()

    def change(patch: pytest.MonkeyPatch) -> None:
        leave_after_each_epoch(patch)
        patch.setattr(Claim, "pause", lambda *_: hang_until_killed(telling))

    kill = workers.start(change)
    assert telling.wait(LIMIT_SECONDS)
    assert study.trials()[0].state == TrialState.RUNNING
    kill()

    workers.run()
    assert "#0  resumed after epoch 2" in caplog.text
    assert curve(study) == undisturbed


def test_a_pause_saves_no_state_a_second_time(
    storage: Storage,
    stripes: dict[str, Any],
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = create(storage, stripes, trials=1, sampler="freeze-thaw", decided=False)
    saved: list[tuple[int, int]] = []
    save = StateWriter.save

    def note(writer: StateWriter, state: Any) -> None:
        done = state["trainer"]
        saved.append((done["finished_warmup_epochs"], done["finished_epochs"]))
        save(writer, state)

    monkeypatch.setattr(StateWriter, "save", note)
    with monkeypatch.context() as patch:
        paused: list[str] = []
        pause = Claim.pause
        patch.setattr(SearchRun, "_is_due_to_leave", lambda *_: not paused)

        def note_pause(claim: Claim, attributes: Mapping[str, Any]) -> None:
            paused.append(claim.label)
            pause(claim, attributes)

        patch.setattr(Claim, "pause", note_pause)
        workers.run()
    assert len(paused) == 1
    assert list(curve(study)) == [1, 2, 3]
    assert saved == [(1, 0), (1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StoreFullError("no space left"), StoreFullError),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceFaultError),
    ],
    ids=["a full disk", "a GPU that fails"],
)
def test_what_ends_the_writing_ends_the_run_between_two_batches(
    storage: Storage,
    stripes: dict[str, Any],
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    raised: type[Exception],
) -> None:
    study = create(storage, stripes, trials=1, enqueue=ENQUEUED)
    failed = threading.Event()
    write_from = CheckpointStore.write_from

    def write(store: CheckpointStore, key: str, fill: Fill) -> None:
        if key.endswith(".ckpt"):
            failed.set()
            raise error
        write_from(store, key, fill)

    train_batch = Trainer._train_batch

    def train_once_it_failed(trainer: Trainer, images: Any, labels: Any) -> Any:
        if trainer.finished_warmup_epochs:
            assert failed.wait(LIMIT_SECONDS)
            wait_until(trainer._should_stop)
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(CheckpointStore, "write_from", write)
    monkeypatch.setattr(Trainer, "_train_batch", train_once_it_failed)
    with pytest.raises(raised, match=str(error)):
        workers.run()
    (trial,) = study.trials()
    assert trial.state == TrialState.WAITING
    assert list(curve(study)) == []
