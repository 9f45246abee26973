"""Training on images that lie on the device, which cuts the crops; here it is the CPU."""

import contextlib
import gc
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor

from histsearch.data import device_images
from histsearch.data.batches import EpochBatches, TrainingImages
from histsearch.data.dataset import load_dataset
from histsearch.data.device_images import placed
from histsearch.data.hold_out import hold_out_classes
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import FormedImages, ImageArrays, ImageSet
from histsearch.exceptions import DataError
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.transforms import TrainingCrop
from histsearch.training import images_on_device
from histsearch.training.batch_source import (
    BatchSource,
    DeviceBatches,
    EvaluationLoader,
    LoadedBatches,
)
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice, NoRoomError
from histsearch.training.state_check import UnfitStateError
from histsearch.training.trainer import Epoch, InterruptedRunError, Trainer
from tests.conv4_runs import conv4_run

torch.set_num_threads(1)

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PREPROCESSING = Preprocessing(resize=36, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
VALUES: dict[str, Any] = {
    "batch_size": 8,
    "embedding_size": 16,
    "hgnn_hidden": 16,
    "lr": 0.003,
    "warmup_epochs": 1,
}
EPOCHS = 2


def nothing() -> None:
    return None


def photographs(folder: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    files = []
    for number in range(12):
        height, width = rng.integers(20, 90, 2)
        pixels = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        file = folder / f"{number}.png"
        Image.fromarray(pixels).save(file)
        files.append((file, "abc"[number % 3]))
    return ImageSet.from_files(files)


def kept(folder: Path) -> ImageSet:
    return photographs(folder).with_cache(ImageCache(folder / "cache").of("photographs", folder))


def in_memory(_: Path, seed: int = 0) -> ImageSet:
    pixels_NHW = np.random.default_rng(seed).integers(0, 256, size=(12, 40, 40), dtype=np.uint8)
    return ImageSet(ImageArrays(pixels_NHW), np.arange(12) % 3, "abc")


def both_sources(images: ImageSet, cap: int | None) -> tuple[BatchSource, BatchSource]:
    """The batches of the loader, and of the device."""
    loader = ImageLoader(0, pin_memory=False)
    whole = images.formed(WholeImages(cap))
    training = TrainingImages(whole, images.labels_N, TrainingCrop(PREPROCESSING), seed=5)
    evaluation = EvaluationLoader(PREPROCESSING, loader)
    store = ImagesOnDevice(CPU, DataOnGpu.always)
    trained, shown = store.place([whole, evaluation.add(images)], 0, lambda: None)
    return (
        LoadedBatches(training, loader, evaluation),
        DeviceBatches(training, PREPROCESSING, trained, {images: shown}, evaluation),
    )


@pytest.mark.parametrize("cap", [None, 30])
@pytest.mark.parametrize("make", [photographs, kept, in_memory])
def test_both_sources_give_the_same_batches(tmp_path: Path, make: Any, cap: int | None) -> None:
    images = make(tmp_path)
    loaded, on_device = both_sources(images, cap)
    keys = EpochBatches(images.labels_N, 4, seed=5, images_per_class=2)
    for epoch in range(4):
        keys.set_epoch(epoch)
        pairs = list(zip(loaded.training(keys), on_device.training(keys), strict=True))
        assert len(pairs) == 3
        for (crops, flipped, labels), (its_crops, its_flipped, its_labels) in pairs:
            assert (crops.int() - its_crops.int()).abs().max() <= 1
            for one, other in ((flipped, its_flipped), (labels, its_labels)):
                assert torch.equal(one, other)
                assert one.dtype == other.dtype
    shown = [torch.cat(list(one.evaluation(images))) for one in (loaded, on_device)]
    assert torch.equal(*shown)


def test_images_of_another_evaluation_are_loaded(tmp_path: Path) -> None:
    _, on_device = both_sources(photographs(tmp_path), None)
    others = in_memory(tmp_path)
    loaded = EvaluationLoader(PREPROCESSING, ImageLoader(0, pin_memory=False))
    expected = torch.cat(list(loaded.batches(others)))
    assert torch.equal(torch.cat(list(on_device.evaluation(others))), expected)


def enlarged(image: Image.Image) -> Image.Image:
    """What another package may make of a file."""
    return image.convert("RGB").resize((3 * image.width, 2 * image.height))


@pytest.mark.parametrize("processes", [0, 2])
def test_images_larger_than_their_files_say_are_placed_whole(
    tmp_path: Path, processes: int
) -> None:
    paths = photographs(tmp_path).paths
    images = ImageSet.from_files([(path, "a") for path in paths], to_rgb=enlarged)
    formed = images.formed(WholeImages())
    found = placed(formed, formed.num_pixels(), CPU, processes, nothing)
    pixels_P3 = np.concatenate([formed[index].reshape(-1, 3) for index in range(12)])
    assert np.array_equal(found.pixels_P3, pixels_P3)
    assert found.firsts[1] == formed[0].shape[0] * formed[0].shape[1]


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("make", [photographs, kept, in_memory])
def test_images_are_placed_whole_by_parts_of_any_size(
    tmp_path: Path, make: Any, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_images, "_BUFFER_PIXELS", 701)
    monkeypatch.setattr(device_images, "_IMAGES_OF_A_PIECE", 5)
    formed, noted = make(tmp_path).formed(WholeImages()), []
    found = placed(formed, formed.num_pixels(), CPU, processes, lambda: noted.append(1))
    pixels_P3 = np.concatenate([formed[index].reshape(-1, 3) for index in range(12)])
    assert np.array_equal(found.pixels_P3, pixels_P3)
    assert found.sizes == [formed[index].shape[:2] for index in range(12)]
    assert len(noted) == 12


def test_images_that_are_decoded_are_placed_without_a_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(device_images, "ImageLoader")
    for make in (kept, in_memory):
        formed = make(tmp_path).formed(WholeImages())
        assert len(placed(formed, formed.num_pixels(), CPU, 2, nothing)) == 12


@pytest.fixture(scope="module")
def parts(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    return hold_out_classes(load_dataset("folder:stripes", data_dir).train, 0.34, 0)


def train(
    parts: tuple[ImageSet, ImageSet],
    choice: DataOnGpu,
    state: Mapping[str, Any] | None = None,
    stop_at: tuple[int, int, int] | None = None,
    loader_processes: int = 0,
) -> tuple[list[tuple[float, float | None]], Trainer]:
    """Loss and score of each epoch, until a run is so far."""
    trainer = Trainer(
        conv4_run(EPOCHS, VALUES, seed=7),
        parts[0],
        device=CPU,
        loader_processes=loader_processes,
        on_device=ImagesOnDevice(CPU, choice),
        should_stop=lambda: trainer.position == stop_at,
    )
    if state is not None:
        trainer.load_state_dict(state)
    finished: list[Epoch] = []
    with contextlib.suppress(InterruptedRunError):
        for epoch in trainer.epochs(parts[1]):
            finished.append(epoch)
    return [(epoch.loss, epoch.score) for epoch in finished], trainer


def weights(trainer: Trainer) -> list[Tensor]:
    return list(trainer.network.parameters())


def test_a_run_on_the_device_is_repeatable_bit_for_bit(parts: tuple[ImageSet, ImageSet]) -> None:
    (first, one), (second, other) = (train(parts, DataOnGpu.always) for _ in range(2))
    assert first == second
    assert all(torch.equal(*pair) for pair in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize(
    ("began", "goes_on"),
    [
        (DataOnGpu.always, DataOnGpu.always),
        (DataOnGpu.always, DataOnGpu.auto),
        (DataOnGpu.always, DataOnGpu.never),
        (DataOnGpu.never, DataOnGpu.always),
    ],
)
@pytest.mark.parametrize("stop_at", [(0, 0, 1), (0, 0, 3), (1, 0, 4), (1, 1, 2)])
def test_a_run_goes_on_the_way_it_began_bit_for_bit(
    parts: tuple[ImageSet, ImageSet],
    began: DataOnGpu,
    goes_on: DataOnGpu,
    stop_at: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, undisturbed = train(parts, began)
    head, first = train(parts, began, stop_at=stop_at)
    state = first.state_dict()
    assert state["crops_on_device"] is (began is DataOnGpu.always)
    assert first.position == stop_at

    def unexpected(*_: object) -> None:
        raise AssertionError("a crop was cut elsewhere")

    elsewhere = TrainingCrop if began is DataOnGpu.always else DeviceBatches
    name = "__call__" if began is DataOnGpu.always else "training"
    monkeypatch.setattr(elsewhere, name, unexpected)
    tail, second = train(parts, goes_on, state)
    assert head + tail == whole
    pairs = zip(weights(second), weights(undisturbed), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_a_run_that_was_stopped_before_it_was_settled_settles_it_anew(
    parts: tuple[ImageSet, ImageSet],
) -> None:
    _, first = train(parts, DataOnGpu.always, stop_at=(0, 0, 0))
    state = first.state_dict()
    assert state["crops_on_device"] is None
    for choice in (DataOnGpu.always, DataOnGpu.never):
        _, second = train(parts, choice, state)
        assert second.state_dict()["crops_on_device"] is (choice is DataOnGpu.always)
    with pytest.raises(UnfitStateError, match=r"crops_on_device is neither true nor false"):
        second.load_state_dict(state | {"crops_on_device": "on the device"})


def test_no_loader_process_starts_where_the_device_cuts(parts: tuple[ImageSet, ImageSet]) -> None:
    own = psutil.Process()
    before = set(own.children())
    trainer = train(parts, DataOnGpu.always, loader_processes=1)[1]
    assert set(own.children()) == before
    # Were images loaded, there would be one by now.
    trainer.measure([trainer.settings.objective], in_memory(Path()))
    assert len(set(own.children()) - before) == 1


@pytest.mark.parametrize("choice", [DataOnGpu.never, DataOnGpu.always])
def test_a_trainer_is_gone_as_soon_as_it_is_dropped(
    parts: tuple[ImageSet, ImageSet], choice: DataOnGpu
) -> None:
    """Loader processes that the garbage collector finds take seconds to end."""
    store = ImagesOnDevice(CPU, choice)
    trainer = Trainer(conv4_run(1, VALUES), parts[0], device=CPU, on_device=store)
    list(trainer.epochs(parts[1]))
    left = weakref.ref(trainer)
    gc.disable()
    try:
        del trainer
        assert left() is None
    finally:
        gc.enable()


def of_memory(monkeypatch: pytest.MonkeyPatch, free: int, total: int = 10**9) -> None:
    monkeypatch.setattr(images_on_device, "_memory", lambda _: (free, total))


def test_images_are_wanted_on_a_gpu_where_they_take_a_quarter_of_its_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "histsearch")
    formed, other = (in_memory(tmp_path, seed).formed(WholeImages()) for seed in (0, 1))
    needed = 3 * 12 * 40 * 40
    of_memory(monkeypatch, free=4 * needed)
    assert ImagesOnDevice(GPU, DataOnGpu.auto).are_wanted([formed], nothing)
    assert caplog.messages == []
    small = ImagesOnDevice(GPU, DataOnGpu.auto)
    for _ in range(2):
        assert not small.are_wanted([formed, other], nothing)
    assert caplog.messages == [
        "the images take 115 kB, more than the 58 kB of the device's memory that is left to them: "
        "loader processes cut the training crops"
    ]
    assert not ImagesOnDevice(GPU, DataOnGpu.never).are_wanted([formed], nothing)
    assert not ImagesOnDevice(CPU, DataOnGpu.auto).are_wanted([formed], nothing)
    assert ImagesOnDevice(CPU, DataOnGpu.always).are_wanted([formed], nothing)


def test_a_process_counts_on_its_part_of_a_shared_device_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formed = in_memory(tmp_path).formed(WholeImages())
    needed = 3 * 12 * 40 * 40
    of_memory(monkeypatch, free=8 * needed, total=8 * needed)
    wanted = [
        ImagesOnDevice(GPU, DataOnGpu.auto, n).are_wanted([formed], nothing) for n in (1, 2, 3)
    ]
    assert wanted == [True, True, False]


def test_files_are_asked_for_their_size_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_memory(monkeypatch, free=100)
    store = ImagesOnDevice(GPU, DataOnGpu.auto)
    paths = photographs(tmp_path).paths
    looked_at = []
    for _ in range(3):
        again = ImageSet.from_files([(path, "a") for path in paths])
        assert not store.are_wanted([again.formed(WholeImages())], lambda: looked_at.append(1))
    assert len(looked_at) == 12


def test_images_that_must_lie_on_a_device_and_cannot_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_memory(monkeypatch, free=10_000)
    formed = in_memory(tmp_path).formed(WholeImages())
    store = ImagesOnDevice(CPU, DataOnGpu.always)
    for refused in (store.are_wanted, lambda *some: store.place(some[0], 0, some[1])):
        with pytest.raises(DataError) as refusal:
            refused([formed], nothing)
        assert str(refusal.value) == (
            "found --data-on-gpu always and images of 58 kB, but 10 kB of the device's memory are "
            "free: leave it at auto, or lower image_size_cap in a new study"
        )


@pytest.mark.parametrize("choice", [DataOnGpu.auto, DataOnGpu.never])
def test_a_run_that_goes_on_has_its_images_where_they_fit(
    tmp_path: Path, choice: DataOnGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    formed = in_memory(tmp_path).formed(WholeImages())
    needed = 3 * 12 * 40 * 40
    of_memory(monkeypatch, free=needed)
    assert len(ImagesOnDevice(CPU, choice).place([formed], 0, nothing)) == 1
    of_memory(monkeypatch, free=needed - 1000)
    with pytest.raises(NoRoomError, match="58 kB of images don't fit into the 57 kB of "):
        ImagesOnDevice(CPU, choice).place([formed], 0, nothing)


def test_images_stay_on_the_device_for_the_next_run_that_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImagesOnDevice(CPU, DataOnGpu.always)
    images, copied = photographs(tmp_path), 0

    def counted(*arguments: Any) -> Any:
        nonlocal copied
        copied += 1
        return placed(*arguments)

    monkeypatch.setattr(images_on_device, "placed", counted)

    def place(*sets: ImageSet) -> list[Tensor]:
        found = store.place([one.formed(WholeImages()) for one in sets], 0, nothing)
        return [one.pixels_P3 for one in found]

    def again() -> list[ImageSet]:
        files = ImageSet.from_files([(path, "a") for path in images.paths])
        return [files, *(in_memory(tmp_path).take(np.arange(n, 12, 3)) for n in range(3))]

    def fit(*sets: ImageSet) -> None:
        """Have a quarter of the memory hold these and no more."""
        pixels = sum(one.formed(WholeImages()).num_pixels() for one in sets)
        of_memory(monkeypatch, free=4 * 3 * pixels - store._placed_bytes)

    files, *folds = again()
    fit(files, *folds[:2])
    first, fold = place(files, folds[0])
    place(files, folds[1])
    assert copied == 3
    fit(files, *folds[:2])
    files, *folds = again()
    assert [one.data_ptr() for one in place(folds[0], files)] == [fold.data_ptr(), first.data_ptr()]
    assert copied == 3, "the same images, read anew"
    place(files, folds[2])
    assert copied == 4
    fit(files, *folds[:2])
    assert place(files, folds[0])[1] is fold
    assert copied == 4
    place(files, folds[1])
    assert copied == 5, "it was used longest ago, so it had made room"


def test_memory_of_images_that_were_dropped_is_free_before_others_are_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else torch keeps it in blocks of another size."""
    done: list[str] = []
    store = ImagesOnDevice(GPU, DataOnGpu.always)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append(f"{len(store._placed)} lie"))

    def on_cpu(images: FormedImages, pixels: int, _: torch.device, *rest: Any) -> Any:
        done.append("placed")
        return placed(images, pixels, CPU, *rest)

    monkeypatch.setattr(images_on_device, "placed", on_cpu)
    of_memory(monkeypatch, free=10**5)
    for seed in (0, 1, 1):
        store.place([in_memory(tmp_path, seed).formed(WholeImages())], 0, nothing)
    assert done == ["0 lie", "placed", "0 lie", "placed"]


def test_images_are_given_up_where_they_need_not_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_memory(monkeypatch, free=10**9)
    formed = in_memory(tmp_path).formed(WholeImages())
    answers = {}
    for choice in DataOnGpu:
        store = ImagesOnDevice(CPU, choice)
        assert not store.give_up(), "there are none"
        store.place([formed], 0, nothing)
        answers[choice] = store.give_up()
    assert answers == {DataOnGpu.auto: True, DataOnGpu.always: False, DataOnGpu.never: True}
    store = ImagesOnDevice(GPU, DataOnGpu.auto)
    assert store.are_wanted([formed], nothing)
    assert store.give_up() is False

    def short_of_memory(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(images_on_device, "placed", short_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        store.place([formed], 0, nothing)
    assert store.give_up(), "none lies there, but some were to"
    assert not store.are_wanted([formed], nothing)
