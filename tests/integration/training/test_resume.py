import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import CheckpointError, StoreFullError
from histsearch.space.space import Precision
from histsearch.training.checkpoint_store import CheckpointStore, open_checkpoint_store
from histsearch.training.run_states import RunStates
from histsearch.training.trainer import Epoch, InterruptedRunError, RunSettings, Trainer
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)

EPOCHS = 3
TRAINING_BATCHES = 4
VALUES: dict[str, Any] = {
    "batch_size": 8,
    "embedding_size": 16,
    "hgnn_hidden": 16,
    "lr": 0.003,
    "warmup_epochs": 2,
    "lr_step": 1,
    "bn_freeze": False,
}
# Those of two warm-up epochs, then those of three epochs with one of validation each.
BATCHES = 2 * TRAINING_BATCHES + EPOCHS * (TRAINING_BATCHES + 1)
# The batches before the first validation.
VALIDATION = 3 * TRAINING_BATCHES

# A resumed schedule is stepped in a process whose optimiser may not have been.
pytestmark = pytest.mark.filterwarnings("error:.*lr_scheduler")


class Clock:
    """A clock by which a batch takes a second and nothing else takes any time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Runs:
    """Trains runs on the same images, each call of `train` as a process of its own would."""

    train_images: ImageSet
    validation: ImageSet
    clock: Clock

    def settings(
        self,
        loss: str = "hist",
        miner: str | None = None,
        precision: Precision = "fp32",
        **changes: Any,
    ) -> RunSettings:
        values = VALUES | changes
        if loss != "hist":
            del values["hgnn_hidden"]
        return conv4_run(EPOCHS, values, seed=7, loss=loss, miner=miner, precision=precision)

    def train(
        self,
        state: Mapping[str, Any] | None = None,
        *,
        batches: int = BATCHES,
        loader_processes: int = 0,
        on_batch: Callable[[Trainer], object] = lambda _: None,
        **changes: Any,
    ) -> tuple[list[Epoch], Trainer]:
        """Go on from a state until so many batches, of training or validation, are done."""
        self.clock.seconds += 1000
        torch.manual_seed(99)
        left = batches

        def should_stop() -> bool:
            nonlocal left
            self.clock.seconds += 1
            left -= 1
            on_batch(trainer)
            return left < 0

        trainer = Trainer(
            self.settings(**changes),
            self.train_images,
            device=torch.device("cpu"),
            loader_processes=loader_processes,
            should_stop=should_stop,
            clock=self.clock,
        )
        if state is not None:
            trainer.load_state_dict(state)
        finished = []
        with contextlib.suppress(InterruptedRunError):
            for epoch in trainer.epochs(self.validation):
                finished.append(epoch)
        return finished, trainer


@pytest.fixture(scope="module")
def runs(data_dir: Path) -> Runs:
    dataset = load_dataset("folder:stripes", data_dir)
    return Runs(*hold_out_classes(dataset.train, 0.34, 0), Clock())


@pytest.fixture(scope="module")
def whole(runs: Runs) -> tuple[list[Epoch], Trainer]:
    """A run that was never stopped."""
    return runs.train()


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return open_checkpoint_store(str(tmp_path / "checkpoints"))


def stored_and_loaded(store: CheckpointStore, state: dict[str, Any]) -> dict[str, Any]:
    """A state as another process finds it."""
    RunStates(store, "run", 1, "this run").save(state)
    loaded = RunStates(store, "run", 2, "this run").load()
    assert loaded is not None
    return loaded


def assert_same_weights(one: Trainer, other: Trainer) -> None:
    for part in ("network", "loss"):
        expected, found = one.state_dict()[part], other.state_dict()[part]
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            assert torch.equal(tensor, found[name]), f"{part}: {name}"


def test_the_times_of_a_run_are_those_of_its_batches(whole: tuple[list[Epoch], Trainer]) -> None:
    epochs, trainer = whole
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert {epoch.seconds for epoch in epochs} == {TRAINING_BATCHES + 1}
    assert {epoch.images_per_second for epoch in epochs} == {8}
    assert trainer.warmup_seconds == 2 * TRAINING_BATCHES


def test_the_learning_rates_fall_after_epochs_but_not_in_the_warm_up(
    whole: tuple[list[Epoch], Trainer],
) -> None:
    rates = [0.003, 0.003, 0.1, 0.001]  # backbone, embedding layer, distributions, HGNN
    assert whole[1].schedule.get_last_lr() == [rate * 0.5**EPOCHS for rate in rates]


@pytest.mark.parametrize("batches", range(BATCHES))
def test_a_run_interrupted_before_any_batch_goes_on_bit_for_bit(
    runs: Runs, whole: tuple[list[Epoch], Trainer], store: CheckpointStore, batches: int
) -> None:
    head, first = runs.train(batches=batches)
    assert len(head) < EPOCHS
    tail, second = runs.train(stored_and_loaded(store, first.state_dict()))
    assert head + tail == whole[0]
    assert second.warmup_seconds == whole[1].warmup_seconds
    assert_same_weights(second, whole[1])
    assert second.schedule.get_last_lr() == whole[1].schedule.get_last_lr()


@pytest.mark.parametrize(
    ("first_stop", "second_stop"),
    [(1, 1), (3, 4), (9, 1), (10, 0), (11, 6), (VALIDATION, 0), (VALIDATION, 1)],
)
def test_a_run_interrupted_twice_goes_on_bit_for_bit(
    runs: Runs,
    whole: tuple[list[Epoch], Trainer],
    store: CheckpointStore,
    first_stop: int,
    second_stop: int,
) -> None:
    first, trainer = runs.train(batches=first_stop)
    state = stored_and_loaded(store, trainer.state_dict())
    second, trainer = runs.train(state, batches=second_stop)
    third, trainer = runs.train(stored_and_loaded(store, trainer.state_dict()))
    assert first + second + third == whole[0]
    assert_same_weights(trainer, whole[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw"},
        {"images_per_class": 2},
        {"warmup_epochs": 0},
        {"loss": "proxy-anchor"},
        {"precision": "bf16"},
        {
            "loss": "pml:TripletMarginLoss",
            "miner": "pml:UniformHistogramMiner",
            "images_per_class": 4,
        },
        {"loss": "pml:NPairsLoss", "images_per_class": 4},
    ],
    ids=[
        "adamw",
        "balanced",
        "no warm-up",
        "another loss",
        "bf16",
        "a miner that draws",
        "a loss that draws",
    ],
)
def test_other_settings_go_on_bit_for_bit_too(
    runs: Runs, store: CheckpointStore, changes: dict[str, Any]
) -> None:
    whole, undisturbed = runs.train(**changes)
    head, first = runs.train(batches=10, **changes)
    tail, second = runs.train(stored_and_loaded(store, first.state_dict()), **changes)
    assert head + tail == whole
    assert_same_weights(second, undisturbed)


def test_a_run_goes_on_bit_for_bit_with_a_loader_process(
    runs: Runs, whole: tuple[list[Epoch], Trainer], store: CheckpointStore
) -> None:
    head, first = runs.train(batches=10, loader_processes=1)
    state = stored_and_loaded(store, first.state_dict())
    tail, second = runs.train(state, loader_processes=1)
    assert head + tail == whole[0]
    assert_same_weights(second, whole[1])


def test_a_state_taken_before_every_batch_disturbs_nothing(
    runs: Runs, whole: tuple[list[Epoch], Trainer], store: CheckpointStore
) -> None:
    checkpoints = RunStates(store, "run", 1, "this run")
    epochs, trainer = runs.train(on_batch=lambda trainer: checkpoints.save(trainer.state_dict()))
    assert epochs == whole[0]
    assert_same_weights(trainer, whole[1])
    # The last was taken before the last validation.
    state = RunStates(store, "run", 2, "this run").load()
    tail, trainer = runs.train(state)
    assert tail == whole[0][-1:]
    assert_same_weights(trainer, whole[1])


def test_the_batches_done_are_not_done_again(runs: Runs) -> None:
    _, first = runs.train(batches=10)
    position = (first.finished_warmup_epochs, first.finished_epochs, first.finished_batches)
    assert position == (2, 0, 2)
    done: list[int] = []
    runs.train(first.state_dict(), on_batch=lambda trainer: done.append(trainer.finished_batches))
    assert done == [2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


class CheckpointFolder:
    """A folder with the checkpoints of one run, seen from outside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = open_checkpoint_store(str(root))

    def attempt(self, number: int, identity: str = "this run") -> RunStates:
        return RunStates(self.store, "study/3", number, identity)

    def file(self, attempt: int, slot: str) -> Path:
        return self.root / "study" / "3" / f"attempt-{attempt}" / f"{slot}.ckpt"

    def files(self) -> list[str]:
        folder = self.root / "study" / "3"
        return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))

    def damage(self, attempt: int, slot: str) -> None:
        content = bytearray(self.file(attempt, slot).read_bytes())
        content[len(content) // 2] ^= 1
        self.file(attempt, slot).write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def test_a_damaged_checkpoint_falls_back_to_the_one_before_then_to_none(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = folder.attempt(1)
    for epoch in (1, 2, 3):
        checkpoints.save({"epoch": epoch, "tensor": torch.full((1000,), float(epoch))})
    assert folder.files() == ["attempt-1/a.ckpt", "attempt-1/b.ckpt"]
    loaded = folder.attempt(2).load()
    assert loaded is not None
    assert (loaded["epoch"], float(loaded["tensor"][0])) == (3, 3.0)
    assert caplog.text == ""

    cut_short = folder.file(1, "a")
    cut_short.write_bytes(cut_short.read_bytes()[:-10])
    assert (folder.attempt(2).load() or {})["epoch"] == 2
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"{cut_short} is damaged; going back to the one before it" in record.message

    caplog.clear()
    folder.damage(1, "b")
    assert folder.attempt(2).load() is None
    assert f"{folder.file(1, 'b')} is damaged" in caplog.text
    assert caplog.records[-1].message == "No checkpoint of study/3 can be used; it starts afresh."


def test_an_attempt_goes_on_from_the_last_that_has_a_whole_checkpoint(
    folder: CheckpointFolder,
) -> None:
    folder.attempt(1).save({"epoch": 1})
    folder.attempt(3).save({"epoch": 3})
    assert folder.attempt(5).load() == {"epoch": 3}
    folder.damage(3, "a")
    assert folder.attempt(5).load() == {"epoch": 1}
    assert folder.attempt(2).load() == {"epoch": 1}


def test_a_run_without_checkpoints_says_nothing(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    assert folder.attempt(3).load() is None
    assert caplog.text == ""


def test_what_earlier_attempts_left_goes_once_an_attempt_has_two_checkpoints(
    folder: CheckpointFolder,
) -> None:
    folder.attempt(1).save({"epoch": 1})
    second = folder.attempt(2)
    second.load()
    second.save({"epoch": 2})
    assert folder.files() == ["attempt-1/a.ckpt", "attempt-2/a.ckpt"]
    second.save({"epoch": 3})
    assert folder.files() == ["attempt-2/a.ckpt", "attempt-2/b.ckpt"]
    folder.damage(2, "b")
    assert folder.attempt(3).load() == {"epoch": 2}


def test_a_process_that_lost_its_run_does_not_harm_its_successor(folder: CheckpointFolder) -> None:
    lost = folder.attempt(1)
    lost.save({"epoch": 1})
    successor = folder.attempt(2)
    assert successor.load() == {"epoch": 1}
    successor.save({"epoch": 2})
    for epoch in (5, 6, 7):
        lost.save({"epoch": epoch})
    lost.delete()
    assert folder.attempt(3).load() == {"epoch": 2}


def test_an_attempt_that_loads_its_own_checkpoints_replaces_the_older_one(
    folder: CheckpointFolder,
) -> None:
    first = folder.attempt(1)
    for epoch in (1, 2, 3):
        first.save({"epoch": epoch})
    again = folder.attempt(1)
    assert again.load() == {"epoch": 3}
    again.save({"epoch": 4})
    assert folder.attempt(1).load() == {"epoch": 4}
    folder.damage(1, "b")
    assert folder.attempt(1).load() == {"epoch": 3}


def test_a_checkpoint_of_another_identity_is_passed_over(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.attempt(1).save({"epoch": 1})
    folder.attempt(2, "other software").save({"epoch": 2})
    assert folder.attempt(3).load() == {"epoch": 1}
    [record] = caplog.records
    assert f"{folder.file(2, 'a')} was made by other software" in record.message

    caplog.clear()
    assert folder.attempt(3, "other images").load() is None
    assert len(caplog.records) == 3
    assert "starts afresh" in caplog.text


def test_a_checkpoint_that_cannot_be_written_costs_no_other(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = folder.attempt(1)
    checkpoints.save({"epoch": 1})
    in_the_way = folder.file(1, "b")
    in_the_way.mkdir()
    for epoch in (2, 3):
        checkpoints.save({"epoch": epoch})
    assert caplog.text.count(f"{in_the_way} can't be written (Is a directory)") == 2
    in_the_way.rmdir()
    assert folder.attempt(2).load() == {"epoch": 1}

    checkpoints.save({"epoch": 4})
    assert folder.files() == ["attempt-1/a.ckpt", "attempt-1/b.ckpt"]
    assert folder.attempt(2).load() == {"epoch": 4}
    folder.damage(1, "b")
    assert folder.attempt(2).load() == {"epoch": 1}


def test_a_full_disk_is_raised_and_leaves_the_last_checkpoint(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoints = folder.attempt(1)
    checkpoints.save({"epoch": 1})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        with pytest.raises(StoreFullError, match=r"can't be written \(No space left on dev"):
            checkpoints.save({"epoch": 2})
    assert folder.files() == ["attempt-1/a.ckpt"]
    checkpoints.save({"epoch": 3})
    assert folder.attempt(2).load() == {"epoch": 3}


def test_a_store_that_does_not_answer_is_no_damaged_checkpoint(folder: CheckpointFolder) -> None:
    folder.attempt(1).save({"epoch": 1})
    folder.file(1, "b").mkdir()
    with pytest.raises(CheckpointError, match=r"b\.ckpt can't be read \(Is a directory\)"):
        folder.attempt(1).load()


def test_nothing_is_left_of_a_run_that_ended(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = folder.attempt(3)
    checkpoints.delete()
    for attempt in (1, 2):
        folder.attempt(attempt).save({"epoch": attempt})
    killed_while_writing = folder.file(2, "b").with_name(".b.ckpt.4711")
    killed_while_writing.touch()
    checkpoints.save({"epoch": 3})
    checkpoints.delete()
    assert list(folder.root.iterdir()) == []
    assert caplog.text == ""


def test_a_deletion_that_fails_is_logged(
    folder: CheckpointFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.file(1, "a").mkdir(parents=True)
    folder.attempt(1).delete()
    assert "a.ckpt can't be removed" in caplog.text
