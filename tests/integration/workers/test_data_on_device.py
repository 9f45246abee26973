"""A worker whose device holds the images, here the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from torch import Tensor

from histsearch.database.storage import Storage
from histsearch.exceptions import DataError
from histsearch.studies import trial_record
from histsearch.studies.study import Study
from histsearch.training import images_on_device
from histsearch.training.batch_source import DeviceBatches
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.trainer import Trainer
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import Worker, run_worker
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


def begins_on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``auto`` work as it does on a GPU with plenty of room."""
    monkeypatch.setattr(
        ImagesOnDevice, "are_wanted", lambda images, *_: images._choice is DataOnGpu.auto
    )


def short_beside_images(monkeypatch: pytest.MonkeyPatch, batches: int = 0) -> list[bool]:
    """Have memory run out after so many batches with images on the device.

    Returns:
        Of each batch that is asked for, whether the images lay there.
    """
    asked: list[bool] = []
    train_batch = Trainer._train_batch

    def train_or_fail(trainer: Trainer, images: Tensor, labels: Tensor) -> Tensor:
        asked.append(trainer.crops_on_device)
        if trainer.crops_on_device and asked.count(True) > batches:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", train_or_fail)
    return asked


def stopped_on_device(storage: Storage, stripes: dict[str, Any], data_dir: Path) -> Study:
    """A study whose trial was stopped with images on the device."""
    study = create(storage, stripes, name="stopped", enqueue=ENQUEUED, trials=1, max_retries=0)
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop = StopRequest()
        stop_before(14, stop, monkeypatch)
        work(storage, data_dir, DataOnGpu.always, stop)
    assert study.count(TrialState.WAITING) == 1
    return study


def curve_of_loaded(storage: Storage, stripes: dict[str, Any], data_dir: Path) -> dict[int, float]:
    """The curve of a trial whose crops loader processes cut from the first one on."""
    study = create(storage, stripes, name="loaded", enqueue=ENQUEUED, trials=1)
    work(storage, data_dir, DataOnGpu.never, StopRequest())
    found = curve(study)
    study.pause()
    return found


@pytest.mark.parametrize("choice", [DataOnGpu.auto, DataOnGpu.never])
@pytest.mark.parametrize("lacks", ["a batch", "the images"])
def test_a_trial_that_began_on_a_larger_device_begins_anew_without_it(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    choice: DataOnGpu,
    lacks: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = curve_of_loaded(storage, stripes, data_dir)
    study = stopped_on_device(storage, stripes, data_dir)
    if lacks == "a batch":
        begins_on_device(monkeypatch)
        asked = short_beside_images(monkeypatch)
    else:
        monkeypatch.setattr(images_on_device, "_memory", lambda _: (1000, 1000))
        asked = []
    work(storage, data_dir, choice, StopRequest())
    assert curve(study) == expected
    assert asked.count(True) == len(asked[:1])
    (told,) = [one for one in caplog.messages if "begins anew" in one]
    assert "begins anew without the images on the device: " in told
    (trial,) = study.trials()
    assert not trial.user_attrs.get(trial_record.RETRIES)


def test_a_trial_that_must_lie_on_a_smaller_device_is_left_with_a_sentence(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = stopped_on_device(storage, stripes, data_dir)
    monkeypatch.setattr(images_on_device, "_memory", lambda _: (1000, 1000))
    with pytest.raises(DataError, match="found --data-on-gpu always and images of "):
        work(storage, data_dir, DataOnGpu.always, StopRequest())
    assert study.count(TrialState.WAITING) == 1


def test_images_whose_placing_takes_all_memory_are_given_up(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begins_on_device(monkeypatch)

    def short_of_memory(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(images_on_device, "placed", short_of_memory)
    study = create(storage, stripes, trials=2, max_retries=0)
    work(storage, data_dir, DataOnGpu.auto, StopRequest())
    assert study.count(TrialState.COMPLETE) == 2
    assert caplog.text.count("begins anew without the images on the device") == 1


def test_the_time_before_a_trial_began_anew_is_charged(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch takes a second of a clock that nothing else moves."""
    begins_on_device(monkeypatch)
    asked = short_beside_images(monkeypatch, batches=9)
    monkeypatch.setattr(Worker, "_charged_seconds", lambda _: float(len(asked)))
    study = create(storage, stripes, enqueue=ENQUEUED, trials=1, max_retries=0)
    work(storage, data_dir, DataOnGpu.auto, StopRequest())
    (trial,) = study.trials()
    assert trial.state == TrialState.COMPLETE
    assert asked.count(True) == 10
    assert trial.user_attrs[trial_record.SECONDS] == len(asked)


def test_states_of_before_a_trial_began_anew_are_gone_on_from_no_more(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are newer by their numbers than the first that follows."""
    expected = curve_of_loaded(storage, stripes, data_dir)
    study = create(storage, stripes, name="anew", enqueue=ENQUEUED, trials=1, max_retries=0)
    batches = 10  # two epochs and more are saved
    with monkeypatch.context() as first:
        begins_on_device(first)
        asked = short_beside_images(first, batches)
        stop = StopRequest()
        stop_before(batches + 1 + 2, stop, first)
        work(storage, data_dir, DataOnGpu.auto, stop)
        assert asked == [True] * (batches + 1) + [False] * 2
    assert study.count(TrialState.WAITING) == 1
    resumed: list[Any] = []
    load = Trainer.load_state_dict

    def noted(trainer: Trainer, state: Any) -> None:
        resumed.append((trainer.position, state["crops_on_device"]))
        load(trainer, state)

    monkeypatch.setattr(Trainer, "load_state_dict", noted)
    work(storage, data_dir, DataOnGpu.never, StopRequest())
    assert [on_device for _, on_device in resumed] == [False]
    assert curve(study) == expected


def test_a_trial_that_lacks_memory_beside_images_of_others_goes_on(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    expected = curve_of_loaded(storage, stripes, data_dir)
    study = create(storage, stripes, name="two", enqueue=2 * ENQUEUED, trials=2, max_retries=0)
    answers = iter([True, False, False])
    monkeypatch.setattr(ImagesOnDevice, "are_wanted", lambda *_: next(answers))
    train_batch = Trainer._train_batch

    def short_of_memory(trainer: Trainer, images: Tensor, labels: Tensor) -> Tensor:
        lie_there = bool(trainer._on_device._placed)
        if lie_there and not trainer.crops_on_device and trainer.finished_epochs == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", short_of_memory)
    work(storage, data_dir, DataOnGpu.auto, StopRequest())
    assert study.count(TrialState.COMPLETE) == 2
    assert study.trials()[1].intermediate_values == expected
    assert caplog.text.count("goes on without the images on the device: CUDA out of memory") == 1
    assert "resumed after epoch 1" in caplog.text
