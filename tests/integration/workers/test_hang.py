"""A worker whose main thread hangs, as over a disk that doesn't answer."""

import logging
import multiprocessing
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.claim import Claim
from histsearch.studies.queue import claim
from histsearch.training.trainer import Trainer
from histsearch.workers import exit_codes, study_inputs, teller
from histsearch.workers.progress_watch import WatchTimes
from histsearch.workers.registry import list_workers
from histsearch.workers.run import Run
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.claims import signed_on
from tests.integration.workers.test_worker import create, settings
from tests.waiting import wait_until

LIMIT_SECONDS = 120.0


def hang_in_the_second_epoch(url: URL, data_dir: Path, checkpoints: Path, pipe: Path) -> None:
    """A worker that opens a pipe which nobody writes to, in a process of its own."""
    logging.basicConfig(filename=pipe.with_name("log"), force=True)
    train_batch = Trainer._train_batch

    def hang(trainer: Trainer, images: Any, labels: Any) -> Any:
        if trainer.finished_epochs == 1:
            # Only now, as on a busy machine any batch may take a second or two.
            run = getattr(trainer._on_progress, "__self__", None)
            assert isinstance(run, Run)
            run.context.watch._times = WatchTimes(factor=0.0, least=1.0, first=1.0, glance=0.1)
            pipe.open("rb")
        return train_batch(trainer, images, labels)

    pytest.MonkeyPatch().setattr(Trainer, "_train_batch", hang)
    hurried = replace(
        settings(data_dir),
        checkpoints=str(checkpoints),
        loader_processes=1,
        watch_times=WatchTimes(glance=0.1),
    )
    run_worker(Storage(url), hurried, StopRequest())


def test_a_run_that_hangs_is_noticed_goes_back_and_ends_its_process(
    database: URL,
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
) -> None:
    study = create(storage, stripes, trials=1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = multiprocessing.get_context("fork").Process(
        target=hang_in_the_second_epoch, args=(database, data_dir, tmp_path / "states", pipe)
    )
    process.start()
    assert process.pid is not None
    parent = psutil.Process(process.pid)
    loaders: set[psutil.Process] = set()
    deadline = time.monotonic() + LIMIT_SECONDS
    while process.is_alive() and time.monotonic() < deadline:
        try:
            loaders |= {*parent.children()}
        except psutil.NoSuchProcess:
            break
        process.join(0.05)
    process.join(LIMIT_SECONDS)
    assert process.exitcode == exit_codes.STALLED
    assert loaders
    wait_until(lambda: not any(loader.is_running() for loader in loaders))

    (trial,) = study.trials()
    assert trial.state == TrialState.WAITING
    assert list(trial.intermediate_values) == [1]
    (retry,) = trial.user_attrs["retries"]
    assert re.fullmatch(r"hung on tester: no progress for \d+ s while training", retry)
    (hanging,) = list_workers(storage)
    shown = hanging.activity
    assert (shown.word, shown.study, shown.trial, shown.epoch) == ("stalled", "stripes", 0, 1)
    assert "stripes #0  hangs: no progress for " in (tmp_path / "log").read_text()

    second = claim(study, signed_on(storage))
    assert isinstance(second, Claim)
    assert second.retry(Ending.STALLED, "no progress for 60 s while training") == TrialState.FAIL
    assert study.trials()[0].user_attrs["reason"] == (
        "it hung on 2 workers, at last on tester: no progress for 60 s while training"
    )


def test_images_that_do_not_come_are_a_hang_too(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create(storage, stripes, trials=1)
    disk_answers = threading.Event()
    ends: list[tuple[int, str]] = []

    def read_from_a_disk_that_hangs(*_: object, **__: object) -> None:
        assert disk_answers.wait(LIMIT_SECONDS)
        raise SystemExit

    def note_end(code: int) -> None:
        ends.append((code, list_workers(storage)[0].activity.word))
        disk_answers.set()

    monkeypatch.setattr(study_inputs, "load_images", read_from_a_disk_that_hangs)
    monkeypatch.setattr(teller, "end_at_once", note_end)
    hurried = replace(settings(data_dir), watch_times=WatchTimes(long_step=0.2, glance=0.05))
    with pytest.raises(SystemExit):
        run_worker(storage, hurried, StopRequest())
    assert ends == [(exit_codes.STALLED, "stalled")]
    assert [trial.state for trial in study.trials()] in ([], [TrialState.WAITING])
