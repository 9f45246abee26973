from collections import Counter
from pathlib import Path
from traceback import clear_frames

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from histsearch.data.batches import EpochBatches, EvaluationImages, TrainingImages
from histsearch.data.decoding import UnreadableImageError
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import FormedImages, ImageArrays, ImageSet
from histsearch.exceptions import SpaceError

LABELS_N = np.repeat(np.arange(5), 4)


def augment(image_HW3: NDArray[np.uint8], generator: torch.Generator) -> tuple[Tensor, bool]:
    top, left = torch.randint(5, (2,), generator=generator).tolist()
    crop_HW3 = torch.from_numpy(image_HW3[top : top + 8, left : left + 8].copy())
    return crop_HW3, bool(torch.rand(1, generator=generator) < 0.5)


def images() -> FormedImages:
    pixels_NHW = np.random.default_rng(0).integers(0, 256, size=(20, 12, 12), dtype=np.uint8)
    return ImageSet(ImageArrays(pixels_NHW), LABELS_N, "abcde").formed(WholeImages())


def indices_of(batches: EpochBatches) -> list[list[int]]:
    return [[index for _, index in batch] for batch in batches]


def epoch_tensors(loader_processes: int) -> list[Tensor]:
    batches = EpochBatches(LABELS_N, 4, seed=3)
    batches.set_epoch(2)
    loader: DataLoader[tuple[Tensor, bool, int]] = DataLoader(
        TrainingImages(images(), LABELS_N, augment, seed=3),
        batch_sampler=batches,
        num_workers=loader_processes,
    )
    return [part for batch in loader for part in batch]


def test_an_augmentation_depends_on_seed_epoch_and_index_alone() -> None:
    training = TrainingImages(images(), LABELS_N, augment, seed=1)
    image, flipped, label = training[2, 7]
    torch.rand(100)
    again = TrainingImages(images(), LABELS_N, augment, seed=1)
    again[2, 6]
    assert torch.equal(again[2, 7][0], image)
    assert again[2, 7][1] == flipped
    assert label == 1
    assert not torch.equal(training[3, 7][0], image)
    assert not torch.equal(TrainingImages(images(), LABELS_N, augment, seed=2)[2, 7][0], image)


def test_two_images_are_augmented_independently() -> None:
    def draw(_: NDArray[np.uint8], generator: torch.Generator) -> tuple[Tensor, bool]:
        return torch.rand(1, generator=generator), False

    training = TrainingImages(images(), LABELS_N, draw, seed=1)
    draws = [training[epoch, index][0].item() for epoch in range(5) for index in range(20)]
    assert len(set(draws)) == 100


def test_augmenting_leaves_the_global_generator_alone() -> None:
    training = TrainingImages(images(), LABELS_N, augment, seed=1)
    before = torch.get_rng_state()
    training[0, 0]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_number_of_loader_processes_does_not_change_an_epoch() -> None:
    alone, shared = epoch_tensors(0), epoch_tensors(2)
    assert len(alone) == len(shared) == 3 * 5
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_evaluation_goes_through_the_images_in_order() -> None:
    whole = images()
    loader: DataLoader[Tensor] = DataLoader(EvaluationImages(whole), batch_size=8)
    images_NHW3 = torch.cat(list(loader))
    assert images_NHW3.dtype == torch.uint8
    assert images_NHW3.tolist() == [whole[i].tolist() for i in range(20)]


def test_an_epoch_shuffles_the_images_and_drops_the_incomplete_batch() -> None:
    batches = EpochBatches(LABELS_N, 6, seed=0)
    rows = indices_of(batches)
    flat = [index for row in rows for index in row]
    assert [len(row) for row in rows] == [6, 6, 6]
    assert len(batches) == 3
    assert len(set(flat)) == 18
    assert flat != sorted(flat)


def test_batches_carry_their_epoch() -> None:
    batches = EpochBatches(LABELS_N, 6, seed=0)
    batches.set_epoch(4)
    assert {epoch for batch in batches for epoch, _ in batch} == {4}


@pytest.mark.parametrize("images_per_class", [0, 2])
def test_the_order_depends_on_seed_and_epoch_alone(images_per_class: int) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = EpochBatches(LABELS_N, 4, seed=seed, images_per_class=images_per_class)
        batches.set_epoch(epoch)
        list(batches)
        return indices_of(batches)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


@pytest.mark.parametrize("images_per_class", [0, 2])
def test_an_epoch_begun_at_a_later_batch_is_the_rest_of_the_whole_one(
    images_per_class: int,
) -> None:
    batches = EpochBatches(LABELS_N, 4, seed=1, images_per_class=images_per_class)
    batches.set_epoch(2)
    whole = list(batches)
    for first_batch in range(6):
        batches.set_epoch(2, first_batch)
        assert list(batches) == whole[first_batch:]
        assert len(batches) == 5
    batches.set_epoch(2)
    assert list(batches) == whole


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loader_processes", [0, 1])
def test_the_images_of_batches_passed_over_are_not_loaded(loader_processes: int) -> None:
    def unexpected(_: NDArray[np.uint8], __: torch.Generator) -> tuple[Tensor, bool]:
        raise AssertionError("an image was loaded")

    batches = EpochBatches(LABELS_N, 4, seed=3)
    loader: DataLoader[tuple[Tensor, bool, int]] = DataLoader(
        TrainingImages(images(), LABELS_N, unexpected, seed=3),
        batch_sampler=batches,
        num_workers=loader_processes,
    )
    batches.set_epoch(2, first_batch=5)
    assert list(loader) == []


def test_balanced_batches_hold_distinct_images_of_distinct_classes() -> None:
    batches = EpochBatches(LABELS_N, 6, seed=0, images_per_class=2)
    rows = indices_of(batches)
    assert len(rows) == len(batches) == 3
    for row in rows:
        assert len(set(row)) == 6
        assert sorted(Counter(LABELS_N[row].tolist()).values()) == [2, 2, 2]


def test_balanced_batches_reach_every_image() -> None:
    batches = EpochBatches(LABELS_N, 6, seed=0, images_per_class=2)
    seen: set[int] = set()
    for epoch in range(30):
        batches.set_epoch(epoch)
        seen.update(index for row in indices_of(batches) for index in row)
    assert seen == set(range(20))


def test_a_class_with_too_few_images_repeats_them_evenly() -> None:
    labels_N = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    [row] = indices_of(EpochBatches(labels_N, 10, seed=0, images_per_class=5))
    assert sorted(Counter(i for i in row if i < 3).values()) == [1, 2, 2]
    assert len({i for i in row if i >= 3}) == 5


def test_a_batch_size_that_classes_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of images_per_class 4"):
        EpochBatches(LABELS_N, 6, seed=0, images_per_class=4)


def test_a_batch_larger_than_the_data_set_is_refused() -> None:
    with pytest.raises(SpaceError, match="batch of 21 images can't be filled from 20"):
        EpochBatches(LABELS_N, 21, seed=0)


def test_a_balanced_batch_of_more_classes_than_there_are_is_refused() -> None:
    with pytest.raises(SpaceError, match="needs 6 classes, but there are 5"):
        EpochBatches(LABELS_N, 12, seed=0, images_per_class=2)


def test_an_unreadable_image_is_told_alike_with_and_without_loader_processes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("no image")
    unreadable = EvaluationImages(ImageSet.from_files([(path, "a")]).formed(WholeImages()))
    messages = []
    for processes in (0, 1):
        with pytest.raises(UnreadableImageError) as raised:
            next(iter(DataLoader(unreadable, num_workers=processes)))
        messages.append(str(raised.value))
        # A loader that only the garbage collector finds is waited for.
        clear_frames(raised.tb)
    assert messages[1] == messages[0]
    assert messages[0].startswith(f"The image {path} can't be read (cannot identify image file")
