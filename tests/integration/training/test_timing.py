"""What a run is found to cost, beside what it costs."""

from pathlib import Path

import pytest
import torch

from histsearch.data.dataset import load_dataset
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_cache import ImageCache
from histsearch.training import timing
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.run_states import RunStates
from histsearch.training.timing import RunCosts, RunImages, time_run
from histsearch.training.trainer import RunSettings, Trainer
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
    images: RunImages, settings: RunSettings = SETTINGS, *, loader_processes: int = 0
) -> RunCosts:
    return time_run(settings, images, ImagesOnDevice(CPU), loader_processes=loader_processes)


def test_a_state_takes_what_a_worker_writes(images: RunImages, tmp_path: Path) -> None:
    trainer = Trainer(SETTINGS, images.training, device=CPU)
    list(trainer.epochs(images.validation))
    folder = tmp_path / "states"
    states = RunStates(open_checkpoint_store(str(folder)), "run", 1, "this run")
    assert states.save({"trainer": trainer.state_dict(), "epochs": []})
    (file,) = folder.rglob("*.ckpt")
    assert costs(images).state_bytes == pytest.approx(file.stat().st_size, rel=0.02)


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
