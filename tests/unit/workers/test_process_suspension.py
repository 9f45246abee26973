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


class Clocks:
    """The clocks of a process, by hand."""

    CLOCK_PROCESS_CPUTIME_ID = time.CLOCK_PROCESS_CPUTIME_ID

    def __init__(self) -> None:
        self.seconds = 0.0
        self.computed = 0.0

    def clock_gettime(self, which: int) -> float:
        return self.computed if which == self.CLOCK_PROCESS_CPUTIME_ID else self.seconds

    def pass_by(self, seconds: float, *, computed: float = 0.0) -> None:
        self.seconds += seconds
        self.computed += computed


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(process_suspension, "time", clocks)
    return clocks


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


@pytest.mark.parametrize(
    ("seconds", "computed", "charged"),
    [
        (4.0, 0.0, 4.0),  # too short to tell it from a busy machine
        (45.0, 0.1, 0.5),  # half a second may have been awake
        (20.0, 20.0, 20.0),  # a slow batch
        (60.0, 20.0, 20.0),  # a slow batch and a suspension
    ],
)
def test_a_gap_is_a_suspension_but_for_what_was_computed(
    clocks: Clocks, seconds: float, computed: float, charged: float
) -> None:
    clock = AwakeClock()
    before = clock()
    clocks.pass_by(0.5, computed=0.5)
    assert clock() - before == 0.5
    clocks.pass_by(seconds, computed=computed)
    assert clock() - before == 0.5 + charged
    clocks.pass_by(0.5)
    assert clock() - before == 1.0 + charged
