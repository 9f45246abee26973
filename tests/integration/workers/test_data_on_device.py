"""A worker whose device holds the images, here the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from torch import Tensor

from histsearch.database.storage import Storage
from histsearch.exceptions import DataError
from histsearch.studies.study import Study
from histsearch.training import images_on_device
from histsearch.training.batch_source import DeviceBatches
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.trainer import Trainer
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import create, settings

ENQUEUED: list[dict[str, Any]] = [{"batch_size": 8, "tau": 8, "lambda_s": 1.0}]


def work(storage: Storage, data_dir: Path, choice: DataOnGpu, stop: StopRequest) -> None:
    run_worker(storage, replace(settings(data_dir), data_on_gpu=choice), stop)


def curve(study: Study) -> dict[int, float]:
    (trial,) = study.trials()
    assert trial.state == TrialState.COMPLETE
    return trial.intermediate_values


def stop_before(batch: int, stop: StopRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker asked to stop when so many batches are done."""
    train_batch = Trainer._train_batch
    done = 0

    def train_or_stop(trainer: Trainer, images: Tensor, labels: Tensor) -> Tensor:
        nonlocal done
        done += 1
        if done == batch:
            stop._requested = True
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", train_or_stop)


@pytest.mark.parametrize("goes_on", [DataOnGpu.auto, DataOnGpu.never])
def test_another_worker_goes_on_with_crops_of_the_device_whatever_it_was_told(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    goes_on: DataOnGpu,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    changes = {"enqueue": ENQUEUED, "trials": 1}
    undisturbed = create(storage, stripes, name="undisturbed", **changes)
    work(storage, data_dir, DataOnGpu.always, StopRequest())

    study = create(storage, stripes, name="stopped", **changes)
    stop = StopRequest()
    with monkeypatch.context() as stopped:
        stop_before(14, stop, stopped)
        work(storage, data_dir, DataOnGpu.always, stop)
    assert study.count(TrialState.WAITING) == 1

    batches = 0
    training = DeviceBatches.training

    def counted(source: DeviceBatches, keys: Any) -> Any:
        nonlocal batches
        for batch in training(source, keys):
            batches += 1
            yield batch

    monkeypatch.setattr(DeviceBatches, "training", counted)
    caplog.clear()
    work(storage, data_dir, goes_on, StopRequest())
    assert "resumed after " in caplog.text
    assert "of images lie on the device, which cuts the training crops" in caplog.text
    assert batches > 0
    assert curve(study) == curve(undisturbed)


def test_a_worker_whose_device_is_too_small_leaves_the_trial_and_the_study(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create(storage, stripes, trials=1)
    with monkeypatch.context() as small:
        small.setattr(images_on_device, "_memory", lambda _: (1000, 1000))
        with pytest.raises(DataError, match="found --data-on-gpu always and images of "):
            work(storage, data_dir, DataOnGpu.always, StopRequest())
    assert study.count(TrialState.WAITING) == study.count() == 1
    work(storage, data_dir, DataOnGpu.always, StopRequest())
    assert study.count(TrialState.COMPLETE) == 1


def test_images_that_take_the_memory_of_training_are_given_up(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They lie there by the worker's own choice, so that costs no trial."""
    monkeypatch.setattr(
        ImagesOnDevice, "are_wanted", lambda images, *_: images._choice is DataOnGpu.auto
    )
    begun: list[bool | None] = []
    train_batch = Trainer._train_batch

    def short_of_memory(trainer: Trainer, images: Tensor, labels: Tensor) -> Tensor:
        if trainer.position == (0, 0, 0):
            begun.append(trainer.state_dict()["crops_on_device"])
        if begun[-1]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", short_of_memory)
    stripes["fixed"]["warmup_epochs"] = 0
    study = create(storage, stripes, trials=2, max_retries=0)
    work(storage, data_dir, DataOnGpu.auto, StopRequest())
    assert study.count(TrialState.COMPLETE) == 2
    assert begun == [True, False, False]
    assert "begins anew without the images on the device: CUDA out of memory" in caplog.text
