"""Trials side by side on one device, by the program as a user starts it."""

import json
import re
import signal
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState
from sqlalchemy import func, select
from sqlalchemy.engine import Row

from histsearch.database.storage import Storage
from histsearch.database.tables import attempts, workers
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import find_study
from histsearch.workers import exit_codes
from tests.acceptance.processes import Look, Run, Start
from tests.acceptance.test_stopping import STOP_SECONDS, TrainingWorker, runs, stop
from tests.waiting import wait_until

DEMO = Path(__file__).parents[2] / "spaces" / "demo.toml"


@pytest.fixture
def glyphs_file(tmp_path: Path) -> Path:
    """The demo, made shorter: three trials of two epochs, all to their end."""
    text = DEMO.read_text()
    for old, new in (
        ("epochs = 5", 'epochs = 2\nsampler = "random"'),
        ("trials = 12", "trials = 3"),
        ("batch_size = [16, 32, 64]", "batch_size = [32, 64]"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "glyphs.toml"
    path.write_text(text)
    return path


@pytest.fixture
def endless(run: Run, stripes_file: Path, tmp_path: Path) -> None:
    """A study of two trials that never end."""
    path = tmp_path / "endless.toml"
    path.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 10000"))
    run("study", "create", str(path), "--trials", "2")


def train_on_two_slots(start: Start) -> TrainingWorker:
    """A supervisor whose two slots are in the midst of a trial, and the lines printed since."""
    supervisor = start("worker", "--device", "cpu", "--slots", "2", "--heartbeat", "0.5")
    assert supervisor.stdout is not None
    lines = iter(supervisor.stdout.readline, "")
    read_until_all_train(lines)
    return supervisor, lines


def read_until_all_train(lines: Iterator[str]) -> None:
    slots = {"/1", "/2"}
    while slots:
        line = next(lines)
        if " epoch " in line and " R@1 " in line:
            slots -= {slot for slot in slots if f"-cpu{slot}-" in line}


def rows_of(storage: Storage) -> list[Row[tuple[object, ...]]]:
    """All attempts with their workers, in the order in which they began."""
    query = (
        select(attempts, workers.c.name, workers.c.process_id, workers.c.slots)
        .join(workers, workers.c.id == attempts.c.worker_id)
        .order_by(attempts.c.id)
    )
    with storage.begin() as connection:
        return list(connection.execute(query).all())


def test_a_search_on_two_slots_is_charged_half_the_seconds_of_each(
    run: Run, start: Start, look: Look, storage: Storage, glyphs_file: Path
) -> None:
    run("study", "create", str(glyphs_file))
    supervisor = start("worker", "--device", "cpu", "--slots", "2", "--drain")
    log, _ = supervisor.communicate()
    assert supervisor.returncode == 0, log
    assert "Traceback" not in log

    trials = find_study(storage, "demo").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    tried = rows_of(storage)
    assert {row.slots for row in tried} == {2}
    assert {re.findall(r"-cpu(/\d)-\d+$", row.name)[0] for row in tried} == {"/1", "/2"}
    assert any(
        a.started_at < b.ended_at and b.started_at < a.ended_at
        for a, b in combinations(tried, 2)
        if a.worker_id != b.worker_id
    )
    seconds = {row.trial_id: (row.ended_at - row.started_at).total_seconds() for row in tried}
    for trial in trials:
        charged = trial.user_attrs[trial_record.SECONDS]
        epochs = trial.user_attrs[trial_record.EPOCH_SECONDS]
        # What a claim and its end take in the database is no trial's.
        assert 0.3 < charged / seconds[trial._trial_id] < 0.51
        assert 0.1 * charged < sum(epochs) < charged
    status = json.loads(look("status", "--json"))
    assert status["studies"][0]["hours"] * 3600 < 0.51 * sum(seconds.values())

    assert re.search(r"epoch 1/2 .*\d s  \d+ images/s  \d+ MiB\n", log)
    assert re.search(
        r"supervisor  CPU: \d+ images/s on 2 slots together \(\d+ \+ \d+\), peaks of \d+ MiB; "
        r"\d+ MiB resident, loader processes included\n",
        log,
    )


@pytest.mark.usefixtures("endless")
def test_one_signal_stops_all_slots_and_saves_their_trials(
    run: Run, start: Start, look: Look, storage: Storage
) -> None:
    supervisor, lines = train_on_two_slots(start)
    assert look("status").count(", one of 2 slots ") == 2
    assert stop(supervisor) < STOP_SECONDS
    log = "".join(lines)
    assert supervisor.wait() == exit_codes.WORK_LEFT
    assert log.count("interrupted: back in the queue") == 2
    shown = json.loads(run("study", "show", "stripes", "--json").stdout)
    assert shown["trials"] == {"WAITING": 2}

    again, lines = train_on_two_slots(start)
    assert stop(again) < STOP_SECONDS
    resumed_after = [row.resumed_after for row in rows_of(storage)]
    assert resumed_after[:2] == [0, 0]
    assert min(resumed_after[2:]) > 0


@pytest.mark.usefixtures("endless")
def test_the_trial_of_a_killed_slot_goes_on_and_the_other_slot_is_not_disturbed(
    start: Start, storage: Storage
) -> None:
    supervisor, lines = train_on_two_slots(start)
    killed, other = rows_of(storage)
    psutil.Process(killed.process_id).kill()
    slot = re.findall(r"-cpu/(\d)-", killed.name)[0]
    log = next(line for line in lines if "is started again" in line)
    assert f"the worker on slot {slot} of the CPU ended: killed by SIGKILL" in log
    resumed = next(line for line in lines if "resumed" in line)
    assert re.search(rf"-cpu/{slot}-\d+  stripes #\d  resumed after ", resumed)

    first, second, third = rows_of(storage)
    assert first.id == killed.id
    assert first.ending in (Ending.LOST, Ending.LOST_EARLY), "its last reports may be lost too"
    assert second.ended_at is None
    assert (third.trial_id, third.number) == (killed.trial_id, 2)
    assert f"-cpu/{slot}-" in third.name
    assert psutil.Process(other.process_id).parent() == psutil.Process(supervisor.pid)
    assert stop(supervisor) < STOP_SECONDS
    assert supervisor.wait() == exit_codes.WORK_LEFT


@pytest.mark.usefixtures("endless")
def test_slots_end_with_a_supervisor_that_is_killed(start: Start, storage: Storage) -> None:
    supervisor, _ = train_on_two_slots(start)
    slots = psutil.Process(supervisor.pid).children()
    assert len(slots) == 2
    supervisor.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(runs(slot) for slot in slots), "the end of all slots")
    with storage.begin() as connection:
        query = select(func.count()).where(attempts.c.ending == Ending.GIVEN_BACK)
        assert connection.scalar(query) == 2
