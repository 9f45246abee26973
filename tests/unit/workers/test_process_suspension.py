import time

import pytest

from histsearch.workers import process_suspension
from histsearch.workers.process_suspension import AwakeClock


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
