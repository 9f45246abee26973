"""When work counts as hanging, by a clock that the test sets."""

import threading

import pytest

from histsearch.workers.progress_watch import ProgressWatch, Stall, WatchTimes

TIMES = WatchTimes()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Watched:
    """A watch whose time passes as the test says, in glances as the watch's own thread has them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.watch = ProgressWatch(times=TIMES, clock=self.clock)

    def wait(self, seconds: float) -> Stall | None:
        for _ in range(round(seconds / TIMES.glance)):
            self.clock.seconds += TIMES.glance
            stall = self.watch.look()
            if stall is not None:
                return stall
        return None

    def steps(self, number: int, seconds: float) -> None:
        for _ in range(number):
            assert self.wait(seconds) is None
            self.watch.progress()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize("before", [0, 1])
def test_the_first_batches_have_ten_minutes(watched: Watched, before: int) -> None:
    with watched.watch.watching("training"):
        watched.steps(before, 100)
        assert watched.wait(600) is None
        assert str(watched.wait(1)) == "no progress for 601 s while training"


@pytest.mark.parametrize(("batch", "limit"), [(1, 60), (5, 60), (7, 70), (90, 900)])
def test_a_later_one_has_ten_times_the_longest_so_far_and_at_least_a_minute(
    watched: Watched, batch: float, limit: float
) -> None:
    with watched.watch.watching("training"):
        watched.steps(1, 500)
        watched.steps(1, batch)
        watched.steps(3, 1)
        assert watched.wait(limit) is None
        assert watched.wait(1) == Stall("training", limit + 1)


def test_each_work_is_measured_by_its_own_steps(watched: Watched) -> None:
    with watched.watch.watching("training"):
        watched.steps(2, 500)
    with watched.watch.watching("training"):
        watched.steps(2, 1)
        assert watched.wait(61) is not None


def test_a_step_that_is_known_to_be_long_has_an_hour_and_sets_no_measure(watched: Watched) -> None:
    with watched.watch.watching("training"):
        watched.steps(2, 1)
        with watched.watch.long_step("saving its state"):
            assert watched.wait(3600) is None
            assert watched.wait(1) == Stall("saving its state", 3601)
        assert watched.wait(60) is None
        assert watched.wait(1) == Stall("training", 61)


def test_the_first_step_may_be_long_without_setting_a_measure(watched: Watched) -> None:
    with watched.watch.watching("reading images", begins_long=True):
        watched.steps(1, 3000)
        watched.steps(1, 1)
        assert watched.wait(61) is not None


def test_nothing_hangs_while_there_is_no_work(watched: Watched) -> None:
    assert watched.wait(10000) is None
    with watched.watch.watching("training"):
        watched.steps(2, 1)
    assert watched.wait(10000) is None


def test_a_hang_is_told_once_from_a_thread_of_its_own() -> None:
    told: list[tuple[Stall, str]] = []
    noticed = threading.Event()

    def note(stall: Stall) -> None:
        told.append((stall, threading.current_thread().name))
        noticed.set()

    quick = WatchTimes(first=0.05, glance=0.02)
    with ProgressWatch(note, quick) as watch, watch.watching("training"):
        assert noticed.wait(30)
    [(stall, thread)] = told
    assert (stall.doing, thread) == ("training", "progress watch")
