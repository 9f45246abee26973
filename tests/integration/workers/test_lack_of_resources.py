"""A worker on a machine that is short of something that trials need."""

import multiprocessing
import os
import resource
import sys
import weakref
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.cli.main import main
from histsearch.database.storage import Storage
from histsearch.studies.claim import Claim
from histsearch.training.run_inputs import RunInputs
from histsearch.training.trainer import Trainer
from histsearch.workers import exit_codes, worker
from histsearch.workers.missing_resources import LackError
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.trial_run import Outcome, TrialRunner
from histsearch.workers.worker import Worker
from tests.integration.workers.test_worker import create, settings

LIMIT_SECONDS = 120.0
SPARE_BYTES = 128 * 2**20
# Make 15 million weights, with their gradients and what Adam keeps of them some 240 MB.
MANY_WEIGHTS = {"hgnn_hidden": 65_536, "embedding_size": 224, "hgnn_layers": 2}


def serve_with_little_memory(environment: Mapping[str, str]) -> None:
    """``histsearch worker`` in a process whose address space may hardly grow."""
    os.environ.update(environment)
    run = Worker.run

    def limit_and_run(one: Worker) -> None:
        most = psutil.Process().memory_info().vms + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        run(one)

    pytest.MonkeyPatch().setattr(Worker, "run", limit_and_run)
    sys.argv = ["histsearch", "worker", "--device", "cpu", "--threads", "1"]
    main()


def test_a_worker_short_of_memory_leaves_what_a_healthy_one_trains(
    database: URL,
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
) -> None:
    stripes["fixed"] |= MANY_WEIGHTS | {"warmup_epochs": 0}
    study = create(storage, stripes, trials=1, epochs=1, max_retries=0)
    environment = {
        "HISTSEARCH_STORAGE": database.render_as_string(hide_password=False),
        "HISTSEARCH_DATA": str(data_dir),
        "HISTSEARCH_CHECKPOINTS": str(tmp_path),
    }
    process = multiprocessing.get_context("fork").Process(
        target=serve_with_little_memory, args=(environment,)
    )
    process.start()
    process.join(LIMIT_SECONDS)
    assert process.exitcode == exit_codes.LACK
    (trial,) = study.trials()
    assert trial.state == TrialState.WAITING
    (left,) = study.left_by.values()
    assert "this machine is short of memory; this process may use" in left
    assert "MiB (ulimit -v); raise that limit" in left

    Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.trials()[0].state == TrialState.COMPLETE
    assert study.left_by == {}


def die_of(
    error: Exception, monkeypatch: pytest.MonkeyPatch, **sizes: int
) -> list[weakref.ref[Trainer]]:
    """Have every batch of these sizes raise such an error; gives the trainers of those runs."""
    train_batch = Trainer._train_batch
    failed: list[weakref.ref[Trainer]] = []

    def raise_or_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        values = trainer.settings.configuration.values()
        if all(values[name] == size for name, size in sizes.items()):
            failed.append(weakref.ref(trainer))
            raise type(error)(*error.args)
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", raise_or_train)
    return failed


def test_a_worker_on_which_three_configurations_die_leaves_the_study_to_others(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus_error = RuntimeError(
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
        "dataloader's workers are out of shared memory."
    )
    die_of(bus_error, monkeypatch, batch_size=8)
    taus = [{"batch_size": 8, "tau": tau} for tau in (8, 16, 32)]
    short = create(storage, stripes, name="short", trials=4, enqueue=taus)
    fine = create(storage, stripes, name="well", trials=1, enqueue=[{"batch_size": 16}])
    with pytest.raises(LackError, match="3 configurations died here in a row") as left:
        Worker(storage, settings(data_dir, drain=False), StopRequest()).run()
    assert "short of shared memory; " in str(left.value)
    (reason,) = short.left_by.values()
    assert str(left.value) == f"study short was left to other workers: {reason}"
    assert short.count(TrialState.WAITING) == short.count() == 3
    assert fine.count(TrialState.COMPLETE) == 1


def test_configurations_that_crash_one_after_the_other_are_the_machines_fault(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_of(ImportError("libcudnn is broken"), monkeypatch)
    study = create(storage, stripes, trials=9, enqueue=[{"tau": tau} for tau in (8, 16, 32)])
    with pytest.raises(LackError, match=r"3 configurations .* \(ImportError: libcudnn is broken\)"):
        Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.count(TrialState.WAITING) == study.count() == 3


def test_what_is_too_large_for_the_only_worker_fails_however_many_they_are(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = die_of(MemoryError(), monkeypatch, batch_size=16)
    before: list[bool] = []
    run = TrialRunner.run

    def look_and_run(runner: TrialRunner, claim: Claim, inputs: RunInputs) -> Outcome:
        before.append(any(trainer() for trainer in failed))
        return run(runner, claim, inputs)

    monkeypatch.setattr(TrialRunner, "run", look_and_run)
    large = [{"batch_size": 16, "tau": tau} for tau in (8, 16, 32)]
    study = create(storage, stripes, trials=4, epochs=1, enqueue=[*large, {"batch_size": 8}])
    Worker(storage, settings(data_dir), StopRequest()).run()
    assert [trial.state.name for trial in study.trials()] == ["FAIL", "FAIL", "FAIL", "COMPLETE"]
    reasons = {trial.user_attrs.get("reason", "")[:30] for trial in study.trials()}
    assert reasons == {"out of memory at batch size 16", ""}
    assert before == [False] * 7, "a run that failed holds the memory that the next one needs"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BrokenProcessPool("a child process terminated abruptly"), "short of memory"),
        (MemoryError("no room"), "short of memory"),
        (OSError(24, "Too many open files"), "short of open files"),
    ],
)
def test_a_lack_while_images_are_read_costs_no_trial(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(worker, "load_images", fail)
    study = create(storage, stripes)
    with pytest.raises(LackError, match=words):
        Worker(storage, replace(settings(data_dir), drain=False), StopRequest()).run()
    assert study.count() == 0
