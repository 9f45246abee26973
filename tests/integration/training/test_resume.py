from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_set import ImageSet
from histsearch.training.hyperparameters import Hyperparameters
from histsearch.training.run_checkpoint import RunCheckpoints
from histsearch.training.trainer import Epoch, InterruptedRunError, RunSettings, Trainer

torch.set_num_threads(1)

EPOCHS = 4
BATCHES_AN_EPOCH = 4


@pytest.fixture(scope="module")
def images(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    dataset = load_dataset("folder:stripes", data_dir)
    return hold_out_classes(dataset.train, 0.34, 0)


def build(
    images: ImageSet, should_stop: Callable[[], bool] = lambda: False, **changes: Any
) -> Trainer:
    values: dict[str, Any] = {
        "batch_size": 8,
        "embedding_size": 16,
        "hgnn_hidden": 16,
        "lr": 0.003,
        "lr_step": 2,
        "bn_freeze": False,
    }
    settings = RunSettings("conv4", "none", EPOCHS, Hyperparameters(**(values | changes)), seed=7)
    return Trainer(settings, images, device=torch.device("cpu"), should_stop=should_stop)


def curve(epochs: Iterator[Epoch]) -> list[tuple[int, float, float | None]]:
    return [(epoch.number, epoch.loss, epoch.recall_at_1) for epoch in epochs]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("stopped_after", range(EPOCHS))
def test_a_resumed_run_is_bit_identical_to_one_never_stopped(
    images: tuple[ImageSet, ImageSet], tmp_path: Path, stopped_after: int, optimizer: str
) -> None:
    train, validation = images
    whole = build(train, optimizer=optimizer)
    undisturbed = curve(whole.epochs(validation))

    # Stopped in the middle of the epoch after, the warm-up included in the count.
    batches = iter([False] * (BATCHES_AN_EPOCH * (1 + stopped_after) + stopped_after + 2))
    first = build(train, lambda: next(batches, True), optimizer=optimizer)
    checkpoints = RunCheckpoints(tmp_path / "run", "this run")
    head: list[tuple[int, float, float | None]] = []

    def run_until_stopped() -> None:
        for epoch in first.epochs(validation):
            head.append((epoch.number, epoch.loss, epoch.recall_at_1))
            checkpoints.save(first.state_dict())

    with pytest.raises(InterruptedRunError):
        run_until_stopped()
    assert len(head) == stopped_after

    torch.manual_seed(99)  # another process begins with other random states
    second = build(train, optimizer=optimizer)
    state = checkpoints.load()
    if state is not None:
        second.load_state_dict(state)
    assert head + curve(second.epochs(validation)) == undisturbed
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name
    assert torch.equal(whole.loss.means, second.loss.means)


def test_a_damaged_checkpoint_falls_back_to_the_one_before_then_to_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = RunCheckpoints(tmp_path, "this run")
    for number in (1, 2, 3):
        checkpoints.save({"number": number, "tensor": torch.full((1000,), float(number))})
    loaded = checkpoints.load()
    assert loaded is not None
    assert loaded["number"] == 3

    latest, previous = tmp_path / "latest.ckpt", tmp_path / "previous.ckpt"
    latest.write_bytes(latest.read_bytes()[:-10])
    loaded = checkpoints.load()
    assert loaded is not None
    assert (loaded["number"], float(loaded["tensor"][0])) == (2, 2.0)
    assert "latest.ckpt is damaged" in caplog.text

    content = bytearray(previous.read_bytes())
    content[500] ^= 1
    previous.write_bytes(bytes(content))
    assert checkpoints.load() is None
    assert "previous.ckpt is damaged" in caplog.text


def test_a_checkpoint_of_another_run_is_passed_over(tmp_path: Path) -> None:
    RunCheckpoints(tmp_path, "another run").save({"number": 1})
    assert RunCheckpoints(tmp_path, "this run").load() is None


def test_a_checkpoint_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    RunCheckpoints(tmp_path / "file" / "run", "this run").save({"number": 1})
    assert "can't be written" in caplog.text


def test_nothing_is_left_of_a_run_that_ended(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path / "run", "this run")
    checkpoints.delete()
    checkpoints.save({"number": 1})
    checkpoints.save({"number": 2})
    checkpoints.delete()
    assert list(tmp_path.iterdir()) == []
