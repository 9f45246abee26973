"""How many batches of a run are timed."""

import pytest
import torch

from histsearch.training import timing
from histsearch.training.timing import Stopwatch


class Clock:
    """Says what the test sets."""

    seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def batches_until_stopped(
    stopwatch: Stopwatch, clock: Clock, cold_seconds: float, seconds: float
) -> int:
    """Begin one batch after the other, the first two cold; how many were begun."""
    for number in range(1000):
        if stopwatch():
            return number
        clock.seconds += cold_seconds if number < 2 else seconds
    raise AssertionError("it never has enough")


@pytest.mark.parametrize(
    ("seconds", "timed"), [(0.01, 300), (0.5, 6), (1.0, 5), (6.0, 5), (10.0, 3), (99.0, 1)]
)
def test_batches_are_timed_for_some_seconds_and_some_batches_but_not_for_too_long(
    clock: Clock, seconds: float, timed: int
) -> None:
    stopwatch = Stopwatch(torch.device("cpu"), untimed=2)
    begun = batches_until_stopped(stopwatch, clock, cold_seconds=50.0, seconds=seconds)
    assert begun - 2 == pytest.approx(timed, abs=1)
    assert stopwatch.seconds_a_step == pytest.approx(seconds)
