"""What a run is found to cost, beside what it costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_loader import ImageLoader
from histsearch.training import images_on_device, timing
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.run_states import RunStates
from histsearch.training.timing import RunCosts, RunImages, Stopwatch, time_run
from histsearch.training.trainer import Trainer
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)

CPU = torch.device("cpu")
SETTINGS = conv4_run(
    2, {"batch_size": 8, "embedding_size": 16, "hgnn_hidden": 16, "bn_freeze": False}
)


@pytest.fixture
def images(data_dir: Path, tmp_path: Path) -> RunImages:
    dataset = load_dataset("folder:stripes", data_dir)
    cache = ImageCache(tmp_path / "cache").of("folder:stripes", data_dir)
    return RunImages(*hold_out_classes(dataset.train, 0.34, 0), cache=cache)


def costs(
    images: RunImages, choice: DataOnGpu = DataOnGpu.never, *, loader_processes: int = 0
) -> RunCosts:
    on_device = ImagesOnDevice(CPU, choice)
    return time_run(SETTINGS, images, on_device, loader_processes=loader_processes)


@pytest.mark.parametrize("choice", [DataOnGpu.never, DataOnGpu.always])
def test_a_state_takes_what_a_worker_writes(
    images: RunImages, tmp_path: Path, choice: DataOnGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that no time is left of it where anything but batches counts.
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.0)
    trainer = Trainer(SETTINGS, images.training, device=CPU)
    list(trainer.epochs(images.validation))
    folder = tmp_path / "states"
    states = RunStates(open_checkpoint_store(str(folder)), "run", 1, "this run")
    assert states.save({"trainer": trainer.state_dict(), "epochs": []})
    (file,) = folder.rglob("*.ckpt")
    assert costs(images, choice).state_bytes == pytest.approx(file.stat().st_size, rel=0.02)


@pytest.mark.parametrize("loader_processes", [0, 2])
def test_all_of_it_is_measured_with_any_number_of_loader_processes(
    images: RunImages, tmp_path: Path, loader_processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.0)
    found = costs(images, loader_processes=loader_processes)
    assert found.training_seconds > 0
    assert found.evaluation_seconds > 0
    assert found.epoch_seconds == found.training_seconds + found.evaluation_seconds
    assert found.peak_memory_bytes > 2**24
    assert not (tmp_path / "cache").exists()


def test_batches_alone_are_timed(images: RunImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the placing of images nor an evaluation is one."""
    trained = counted(monkeypatch, Trainer, "_train_batch")
    asked = counted(monkeypatch, Stopwatch, "__call__")
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.0)
    for choice in (DataOnGpu.never, DataOnGpu.always):
        costs(images, choice)
        assert len(trained) == len(asked) - 1 == 7
        trained.clear()
        asked.clear()


def test_images_lie_where_those_of_a_worker_do(
    images: RunImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.0)
    placed = counted(monkeypatch, images_on_device, "placed")
    loaded = counted(monkeypatch, ImageLoader, "batches")
    gallery = images.validation.take(np.arange(3))
    store = ImagesOnDevice(CPU, DataOnGpu.always)
    for size in (8, 16):
        values = SETTINGS.configuration.training.model_copy(update={"batch_size": size})
        settings = replace(SETTINGS, configuration=replace(SETTINGS.configuration, training=values))
        time_run(settings, images._replace(gallery=gallery), store, loader_processes=0)
        assert [len(one[0]) for one in placed] == [
            len(images.training),
            len(images.validation),
            len(gallery),
        ], "once for all batch sizes"
    assert loaded == []


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """The arguments of each call of a function from now on."""
    function, calls = getattr(owner, name), []

    def noted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, noted)
    return calls
