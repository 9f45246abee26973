"""Room that is given once, whoever asks for it at the same moment."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path

import pytest

from histsearch.data import cache_room
from histsearch.data.cache_files import NotKeptError, bytes_below
from histsearch.data.cache_room import Room


def test_two_that_measure_at_once_do_not_get_the_same_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    def measured_together(folder: Path) -> int:
        found = bytes_below(folder)
        with suppress(threading.BrokenBarrierError):  # one alone has the lock, so nobody joins it
            both.wait(timeout=0.2)
        return found

    def is_given(name: str) -> bool:
        with FileIO(tmp_path / name, "wb") as file:
            try:
                Room(tmp_path, 1500).reserve(file, 1, 1000)
            except NotKeptError:
                return False
        return True

    monkeypatch.setattr(cache_room, "bytes_below", measured_together)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(is_given, "ab")) == [False, True]


def test_a_file_may_outgrow_its_reservation_up_to_what_is_left(tmp_path: Path) -> None:
    room = Room(tmp_path, 1000)
    (tmp_path / "other").write_bytes(bytes(300))
    with FileIO(tmp_path / "new", "wb") as file:
        reservation = room.reserve(file, 4, 400)
        reservation.hold(400)
        assert reservation.size == (tmp_path / "new").stat().st_size == 400
        reservation.hold(401)
        assert reservation.size == 425  # so that not every image measures anew
        reservation.hold(700)
        with pytest.raises(NotKeptError, match="more than the 1 kB left for them"):
            reservation.hold(701)
        assert (tmp_path / "new").stat().st_size == 700
