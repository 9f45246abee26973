import errno
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import Tensor

from histsearch.exceptions import StoreFullError
from histsearch.training import checkpoint_store
from histsearch.training.checkpoint_store import CheckpointStore, Fill, open_checkpoint_store
from histsearch.training.host_copy import HostCopy
from histsearch.training.run_states import RunStates
from histsearch.training.state_writer import StateWriter

LIMIT_SECONDS = 60.0


class SlowStore:
    """A store in a folder, each of whose writes waits until it is let go on.

    Attributes:
        begun: Counts the writes that have begun.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = open_checkpoint_store(str(folder))
        self.begun = threading.Semaphore(0)
        self._go_on = threading.Semaphore(0)
        write_from = CheckpointStore.write_from

        def write_slowly(store: CheckpointStore, key: str, fill: Fill) -> None:
            self.begun.release()
            assert self._go_on.acquire(timeout=LIMIT_SECONDS)
            write_from(store, key, fill)

        monkeypatch.setattr(CheckpointStore, "write_from", write_slowly)

    def wait_for_a_write(self) -> None:
        assert self.begun.acquire(timeout=LIMIT_SECONDS)

    def let_go_on(self, writes: int = 1) -> None:
        self._go_on.release(writes)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowStore:
    return SlowStore(tmp_path, monkeypatch)


def kept(store: CheckpointStore) -> Any:
    return RunStates(store, "run", 2, "this run").load()


def writer(store: CheckpointStore) -> StateWriter:
    return StateWriter(RunStates(store, "run", 1, "this run"))


def test_a_state_is_kept_as_it_was_when_it_was_handed_over(slow: SlowStore) -> None:
    weights = torch.ones(1000)
    rates = [0.1, 0.2]
    one = writer(slow.store)
    one.save({"weights": weights, "optimizer": {"rates": rates, 0: (weights, 3)}})
    slow.wait_for_a_write()
    weights.add_(1)
    rates[0] = 0.0
    slow.let_go_on()
    assert one.settle()
    one.close()
    state = kept(slow.store)
    assert torch.equal(state["weights"], torch.ones(1000))
    assert state["optimizer"]["rates"] == [0.1, 0.2]
    assert torch.equal(state["optimizer"][0][0], torch.ones(1000))


def test_of_the_states_that_wait_the_newest_is_written(slow: SlowStore) -> None:
    one = writer(slow.store)
    one.save({"epoch": 1})
    slow.wait_for_a_write()
    for epoch in range(2, 8):
        one.save({"epoch": epoch})
    slow.let_go_on(2)
    assert one.settle()
    assert kept(slow.store) == {"epoch": 7}
    Path(slow.store.place("run/attempt-1/b.ckpt")).unlink()
    assert kept(slow.store) == {"epoch": 1}
    slow.wait_for_a_write()
    assert not slow.begun.acquire(blocking=False)
    one.close()


def test_what_waits_when_a_run_ends_is_written(slow: SlowStore) -> None:
    one = writer(slow.store)
    one.save({"epoch": 1})
    slow.wait_for_a_write()
    one.save({"epoch": 2})
    slow.let_go_on(2)
    one.close()
    assert kept(slow.store) == {"epoch": 2}


def test_a_host_holds_two_copies_however_many_states_are_saved(
    slow: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory: set[int] = set()
    take = HostCopy.take

    def note(host_copy: HostCopy, state: dict[str, Tensor]) -> None:
        take(host_copy, state)
        memory.add(host_copy.state["weights"].data_ptr())

    monkeypatch.setattr(HostCopy, "take", note)
    weights = torch.zeros(1000)
    one = writer(slow.store)
    slow.let_go_on(100)
    for epoch in range(20):
        one.save({"weights": weights + epoch})
        if epoch % 3 == 0:
            assert one.settle()
    assert one.settle()
    one.close()
    assert len(memory) <= 2
    assert float(kept(slow.store)["weights"][0]) == 19.0


def test_a_full_disk_is_told_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = open_checkpoint_store(str(tmp_path))
    one = writer(store)
    one.save({"epoch": 1})
    assert one.settle()
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        one.save({"epoch": 2})
        with pytest.raises(StoreFullError, match="No space left on device"):
            one.settle()
    assert one.has_failed
    with pytest.raises(StoreFullError, match="No space left on device"):
        one.save({"epoch": 3})
    one.close()
    assert kept(store) == {"epoch": 1}


def test_a_state_that_cannot_be_written_is_none_to_rely_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "run"
    in_the_way.touch()
    one = writer(open_checkpoint_store(str(tmp_path)))
    one.save({"epoch": 1})
    assert not one.settle()
    assert "The run goes on without this checkpoint" in caplog.text
    in_the_way.unlink()
    one.save({"epoch": 2})
    assert one.settle()
    one.close()


def test_what_the_thread_did_not_expect_is_raised_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> BinaryIO:
        raise MemoryError("no more")

    monkeypatch.setattr(checkpoint_store, "whole_file", fail)
    one = writer(open_checkpoint_store(str(tmp_path)))
    one.save({"epoch": 1})
    with pytest.raises(MemoryError, match="no more"):
        one.settle()
    one.close()


def test_a_state_that_cannot_be_copied_whole_is_not_written(slow: SlowStore) -> None:
    class Broken(dict[str, object]):
        def items(self) -> Any:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    one = writer(slow.store)
    one.save({"epoch": 1})
    slow.wait_for_a_write()
    one.save({"epoch": 2})
    with pytest.raises(RuntimeError, match="illegal memory access"):
        one.save({"epoch": 3, "network": Broken()})
    slow.let_go_on(2)
    one.close()
    assert kept(slow.store) == {"epoch": 1}


def test_a_copy_has_the_tensors_strides_types_and_the_versions_of_modules() -> None:
    module = torch.nn.BatchNorm2d(3)
    weights = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    taken = HostCopy()
    taken.take({"module": module.state_dict(), "weights": weights.bfloat16(), "none": None})
    state = taken.state
    assert getattr(state["module"], "_metadata", None) == module.state_dict()._metadata  # type: ignore[attr-defined]
    assert state["weights"].stride() == weights.stride()
    assert state["weights"].dtype == torch.bfloat16
    assert state["none"] is None
    assert not any(one.requires_grad for one in state["module"].values())
