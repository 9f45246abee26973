import os
from collections.abc import Iterator

import pytest

from histsearch.workers import slots
from histsearch.workers.slots import Pace, Slot, SlotPaces


class Clock:
    """A clock that the test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paces(clock: Clock) -> Iterator[SlotPaces]:
    """Those of a device of three slots."""
    paces = SlotPaces(3, clock)
    yield paces
    os.close(paces.reports)
    os.close(paces.reader)


@pytest.fixture
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SUMMARY_SECONDS", 0.0)


def tell(paces: SlotPaces, number: int, images_per_second: float | None) -> None:
    pace = None if images_per_second is None else Pace(images_per_second, 1000 * number)
    Slot(number, 3, paces.reports, lock=None).tell(pace)


@pytest.mark.usefixtures("at_any_time")
def test_a_summary_is_due_once_all_slots_have_told(paces: SlotPaces) -> None:
    assert not paces.take()
    for number, due in ((1, False), (1, False), (3, False), (2, True), (3, True)):
        tell(paces, number, 100.4 * number)
        assert paces.take() == due
    assert str(paces) == "602 images/s on 3 slots together (100 + 201 + 301)"
    assert paces.memory_mib == 6000
    assert not paces.take()


@pytest.mark.usefixtures("at_any_time")
def test_slots_that_idle_or_have_ended_are_not_waited_for(paces: SlotPaces) -> None:
    tell(paces, 1, None)
    paces.forget(3)
    assert not paces.take(), "nobody trains"
    tell(paces, 2, 50)
    assert paces.take()
    assert (str(paces), paces.memory_mib) == ("50 images/s on 1 slot", 2000)


def test_what_a_worker_told_before_it_ended_counts_no_more(paces: SlotPaces) -> None:
    tell(paces, 1, 10)
    tell(paces, 2, 20)
    paces.forget(2)
    assert not paces.take(), "the third is waited for"
    assert str(paces) == "10 images/s on 1 slot"
    tell(paces, 1, 10)
    paces.forget(1)
    paces.forget(3)
    assert not paces.take(), "none is left"


@pytest.mark.usefixtures("at_any_time")
def test_a_slot_whose_worker_is_started_again_is_waited_for(paces: SlotPaces) -> None:
    for number in (1, 2, 3):
        tell(paces, number, 10)
    assert paces.take()
    paces.await_report(2)
    tell(paces, 1, 20)
    assert not paces.take()
    tell(paces, 2, 30)
    assert paces.take()
    assert str(paces) == "60 images/s on 3 slots together (20 + 30 + 10)"


def test_summaries_come_now_and_then(paces: SlotPaces, clock: Clock) -> None:
    due_at = []
    for second in range(0, 150, 10):
        clock.seconds = second
        for number in (1, 2, 3):
            tell(paces, number, 10)
        if paces.take():
            due_at.append(second)
    assert due_at == [0, 60, 120]


def test_a_report_that_came_in_part_is_taken_once_it_is_whole(paces: SlotPaces) -> None:
    os.write(paces.reports, b'{"number": 2, "pace": {"images_per_second"')
    assert not paces.take()
    os.write(paces.reports, b': 7.0, "memory_mib": 5}}\n')
    paces.take()
    assert str(paces) == "7 images/s on 1 slot"


def test_a_worker_does_not_wait_for_its_supervisor() -> None:
    busy = SlotPaces(1)
    slot = Slot(1, 1, busy.reports, lock=None)
    for _ in range(10_000):  # more than a pipe holds
        slot.tell(Pace(1.0, 1))
    os.close(busy.reader)
    slot.tell(Pace(1.0, 1))
    os.close(busy.reports)


@pytest.mark.parametrize("lock", [None, 9])
def test_a_worker_learns_its_place_from_its_environment(
    lock: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Slot.of_this_process() is None
    slot = Slot(2, 3, reports=8, lock=lock)
    for name, value in slot.environment().items():
        monkeypatch.setenv(name, value)
    assert Slot.of_this_process() == slot


def test_only_a_device_of_several_slots_is_named_with_them() -> None:
    assert [Slot(1, many, 8, None).suffix for many in (1, 2)] == ["", "/1"]
