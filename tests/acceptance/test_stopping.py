import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study
from histsearch.workers import exit_codes
from tests.acceptance.processes import Run, Start
from tests.integration.database.outage import outage, silence
from tests.waiting import wait_until

TrainingWorker = tuple[subprocess.Popen[str], Iterator[str]]

# What a scheduler leaves a job between its signals.
STOP_SECONDS = 10.0

# Programs whose trial gets stuck in one way each; the last one's data loaders too.
BATCH_FOR_HOURS = """
import ctypes, os
from histsearch.cli.main import main
from histsearch.training.trainer import Trainer

libc = ctypes.CDLL(None)
mutex = ctypes.create_string_buffer(64)

def batch_for_hours(*_):
    os.write(2, b"stuck now\\n")
    # Python's handler of a signal doesn't run within a call of native code.
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)

Trainer._train_batch = batch_for_hours
main()
"""
STATE_FOR_HOURS = """
import os, time
from histsearch.cli.main import main
from histsearch.training.run_states import RunStates

def save_for_hours(*_):
    os.write(2, b"stuck now\\n")
    time.sleep(3600)

RunStates.save = save_for_hours
main()
"""
IMAGE_FOR_HOURS = """
import os, tempfile
from histsearch.cli.main import main
from histsearch.data.image_set import FormedImages

pipe = os.path.join(tempfile.mkdtemp(dir={folder!r}), "pipe")
os.mkfifo(pipe)

def read_for_hours(*_):
    os.write(2, b"stuck now\\n")
    open(pipe, "rb")

FormedImages.__getitem__ = read_for_hours
main()
"""

SUSPENDED_SECONDS = 4.0
SUSPENDED_SOONER = """
from histsearch.cli.main import main
from histsearch.workers import process_suspension

process_suspension.LEAST_SECONDS = 1.0
main()
"""


@pytest.fixture
def endless(run: Run, stripes_file: Path, tmp_path: Path) -> Path:
    """The space of a study whose one trial never ends, and that study."""
    path = tmp_path / "endless.toml"
    path.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 10000"))
    run("study", "create", str(path), "--trials", "1")
    return path


def train(start: Start, *arguments: str) -> TrainingWorker:
    """A worker in the midst of a trial, and the lines it prints from then on."""
    worker = start("worker", "--device", "cpu", *arguments)
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any(" epoch 1/" in line and " R@1 " in line for line in lines)
    return worker, lines


def stop(*workers: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
    """Seconds from a stop signal until none of the workers' processes is left."""
    families = [psutil.Process(worker.pid) for worker in workers]
    families += [child for one in families for child in one.children(recursive=True)]
    signalled = time.monotonic()
    for worker in workers:
        worker.send_signal(number)
    wait_until(lambda: not any(runs(process) for process in families), "the processes' end")
    return time.monotonic() - signalled


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_stop_signal_saves_the_trial_and_returns_it(
    run: Run, start: Start, number: signal.Signals
) -> None:
    worker, lines = train(start)

    assert stop(worker, number=number) < STOP_SECONDS
    log = "".join(lines)
    assert worker.wait() == exit_codes.WORK_LEFT
    assert "#0  interrupted: back in the queue" in log
    assert "Traceback" not in log
    shown = json.loads(run("study", "show", "stripes", "--json").stdout)
    assert shown["trials"] == {"WAITING": 1}
    last = last_epoch(log)

    again, lines = train_on(start, "--heartbeat", "0.2")
    assert f"resumed after epoch {last}" in next(line for line in lines if "resumed" in line)
    again.send_signal(number)
    again.send_signal(signal.SIGTERM)
    assert again.wait() == exit_codes.WORK_LEFT


def last_epoch(log: str) -> int:
    """The last epoch that a worker in the midst of its trial has finished."""
    return max((int(number) for number in re.findall(r"epoch (\d+)/", log)), default=1)


def train_on(start: Start, *arguments: str) -> TrainingWorker:
    worker = start("worker", "--device", "cpu", *arguments)
    assert worker.stdout is not None
    return worker, iter(worker.stdout.readline, "")


def test_workers_that_are_stuck_in_their_trials_end_in_time_with_all_their_processes(
    run: Run, start: Start, stripes_file: Path, tmp_path: Path
) -> None:
    run("study", "create", str(stripes_file), "--trials", "3")
    image_for_hours = IMAGE_FOR_HOURS.format(folder=str(tmp_path))
    workers = [
        start("worker", "--device", "cpu", "--loaders", loaders, program=program)
        for program, loaders in (
            (BATCH_FOR_HOURS, "0"),
            (STATE_FOR_HOURS, "0"),
            (image_for_hours, "2"),
        )
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert any("stuck now" in line for line in iter(worker.stdout.readline, ""))

    assert stop(*workers) < STOP_SECONDS
    for worker in workers:
        log, _ = worker.communicate()
        assert worker.returncode == exit_codes.WORK_LEFT
        assert "still busy 6.5 s after the signal" in log
        assert "  given back as it was last saved" in log
    shown = json.loads(run("study", "show", "stripes", "--json").stdout)
    assert shown["trials"] == {"WAITING": 3}


def test_an_idle_worker_stops_at_once(start: Start) -> None:
    worker = start("worker", "--device", "cpu")
    assert worker.stdout is not None
    assert any("waiting for work" in line for line in worker.stdout)
    worker.send_signal(signal.SIGINT)
    assert worker.wait() == 0


@pytest.mark.usefixtures("endless")
def test_training_goes_on_while_the_database_is_away(
    start: Start, database: URL, storage: Storage
) -> None:
    worker, lines = train(start)
    with outage(database):
        assert any("the database is away" in line for line in lines)
        for _ in range(3):
            assert any("epoch " in line for line in lines)
    assert any("the database is back" in line for line in lines)
    worker.send_signal(signal.SIGTERM)
    log = "".join(lines)
    assert worker.wait() == exit_codes.WORK_LEFT
    assert "Traceback" not in log
    (trial,) = find_study(storage, "stripes").trials()
    assert list(trial.intermediate_values) == list(range(1, len(trial.intermediate_values) + 1))
    assert len(trial.intermediate_values) >= 3


@pytest.mark.usefixtures("endless")
def test_out_of_patience_with_the_database_the_worker_saves_its_trial_and_stops(
    start: Start, database: URL
) -> None:
    worker, lines = train(start, "--database-patience", "1", "--heartbeat", "0.2")
    with outage(database):
        log = "".join(lines)
        assert worker.wait() == 2
    assert "error: PostgreSQL at" in log
    assert "Traceback" not in log
    last = last_epoch(log)

    # Its trial is freed once its grace is over, and goes on where it was saved.
    again, lines = train_on(start, "--heartbeat", "0.2")
    assert f"resumed after epoch {last}" in next(line for line in lines if "resumed" in line)
    again.send_signal(signal.SIGTERM)
    assert again.wait() == exit_codes.WORK_LEFT


@pytest.mark.usefixtures("endless")
def test_a_stop_while_the_database_is_away_takes_no_longer(start: Start, database: URL) -> None:
    worker, lines = train(start)
    with outage(database):
        assert any("the database is away" in line for line in lines)
        assert stop(worker) < STOP_SECONDS
        log = "".join(lines)
        assert worker.wait() == exit_codes.WORK_LEFT
    # By its own thread, or on a slow machine by the one that steps in after 6.5 s.
    assert "the database can't be told now" in log


@pytest.mark.usefixtures("endless")
def test_a_stop_while_the_database_says_nothing_takes_no_longer(start: Start) -> None:
    worker, lines = train(start, "--heartbeat", "0.2")
    with silence():
        assert any("epoch " in line for line in lines)
        assert stop(worker) < STOP_SECONDS
        log = "".join(lines)
        assert worker.wait() == exit_codes.WORK_LEFT
    assert "the database can't be told now" in log


@pytest.mark.usefixtures("endless")
def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(
    start: Start, database: URL
) -> None:
    closed = database.set(host="127.0.0.1", port=1, query={})
    url = closed.render_as_string(hide_password=False)
    worker = start("worker", "--device", "cpu", "--storage", url)
    assert worker.stdout is not None
    assert any("waiting for the database" in line for line in worker.stdout)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.usefixtures("endless")
def test_a_killed_worker_is_replaced_and_its_trial_goes_on_from_the_last_epoch(
    run: Run, start: Start
) -> None:
    worker, lines = train(start, "--heartbeat", "0.2")
    assert any("epoch 2/" in line for line in lines)
    worker.kill()
    log = "".join(lines)
    last = max(2, last_epoch(log))

    again, lines = train_on(start, "--heartbeat", "0.2")
    resumed = next(line for line in lines if "resumed" in line)
    epoch = int(re.findall(r"resumed after epoch (\d+)", resumed)[0])
    assert last - 1 <= epoch <= last
    status = json.loads(run("status", "--json").stdout)
    assert status["studies"][0]["retries"] == 1
    again.send_signal(signal.SIGTERM)
    assert again.wait() == exit_codes.WORK_LEFT


@pytest.mark.usefixtures("endless")
def test_the_time_for_which_a_worker_was_suspended_is_not_charged(
    start: Start, storage: Storage
) -> None:
    began = time.monotonic()
    worker = start("worker", "--device", "cpu", program=SUSPENDED_SOONER)
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any(" epoch 1/" in line and " R@1 " in line for line in lines)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(SUSPENDED_SECONDS)
    worker.send_signal(signal.SIGCONT)
    assert any(re.search(r"suspended for [34] s: not charged", line) for line in lines)
    assert any("epoch " in line for line in lines)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == exit_codes.WORK_LEFT
    most = time.monotonic() - began - SUSPENDED_SECONDS + 1
    (trial,) = find_study(storage, "stripes").trials()
    assert sum(trial.user_attrs[trial_record.EPOCH_SECONDS]) < trial.user_attrs["seconds"] < most
