"""Processes that are stopped for a while, and by their clocks were not."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from histsearch.workers import process_suspension
from histsearch.workers.process_suspension import AwakeClock

# A process that answers each line with what its clock says.
ASKED = """
import logging, sys
from histsearch.workers import process_suspension

logging.basicConfig()
process_suspension.LEAST_SECONDS = 0.8
with process_suspension.AwakeClock() as clock:
    for _ in sys.stdin:
        print(clock(), flush=True)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def asked(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def test_a_stopped_process_is_not_charged_and_says_for_how_long(
    process: subprocess.Popen[str],
) -> None:
    before = asked(process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)  # the length of the suspension
    process.send_signal(signal.SIGCONT)
    assert asked(process) - before < 1.5
    _, log = process.communicate()
    assert "suspended for 2 s: not charged" in log


def test_what_keeps_the_interpreter_for_long_is_charged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_suspension, "LEAST_SECONDS", 0.3)
    with AwakeClock() as clock:
        before, computed = clock(), time.thread_time()
        sum(range(60_000_000))  # lets no other thread in
        computed = time.thread_time() - computed
        assert clock() - before >= computed > 0.1
        before = clock()
        time.sleep(1.5)  # lets all of them in
        assert clock() - before >= 1.5


SUSPENDED = """
import os, sys
from histsearch.workers import process_suspension
from histsearch.workers.progress_watch import ProgressWatch, WatchTimes
process_suspension.LEAST_SECONDS = 0.2
times = WatchTimes(least=1.0, first=1.0, glance=0.05)
clock = process_suspension.AwakeClock()
with clock, ProgressWatch(lambda _: os._exit(74), times, clock) as watch:
    with watch.watching("training"):
        for _ in range(3):
            watch.progress()
        print("ready", flush=True)
        sys.stdin.readline()
print("torch" in sys.modules, flush=True)
"""


def test_a_process_that_was_stopped_does_not_hang_after_it_goes_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUSPENDED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2.0)
        process.send_signal(signal.SIGCONT)
        # A watch that took the stop for a hang would end the process at its next glance.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.4)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "False\n"
