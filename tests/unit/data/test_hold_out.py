import numpy as np
import pytest

from histsearch.data.hold_out import HoldOut, hold_out_classes, hold_out_fold
from histsearch.data.image_set import ImageArrays, ImageSet
from histsearch.exceptions import DataError


def images_of(num_classes: int, images_per_class: int = 3) -> ImageSet:
    labels_N = np.tile(np.arange(num_classes), images_per_class)
    pixels_NHW = np.zeros((len(labels_N), 2, 2), dtype=np.uint8)
    return ImageSet(ImageArrays(pixels_NHW), labels_N, [f"c{i}" for i in range(num_classes)])


def test_every_class_goes_to_one_part_with_all_its_images() -> None:
    whole = images_of(10)
    train, validation = hold_out_classes(whole, 0.3, seed=0)
    assert (train.num_classes, validation.num_classes) == (7, 3)
    assert sorted(train.class_names + validation.class_names) == sorted(whole.class_names)
    for part in (train, validation):
        assert np.bincount(part.labels_N).tolist() == [3] * part.num_classes


def test_the_seed_alone_decides_which_classes_are_held_out() -> None:
    chosen = [hold_out_classes(images_of(50), 0.2, seed)[1].class_names for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(("classes", "fraction"), [(10, 0.1), (10, 0.0), (10, 0.9), (3, 0.5)])
def test_parts_of_fewer_than_two_classes_are_refused(classes: int, fraction: float) -> None:
    with pytest.raises(DataError, match=f"of {classes} training classes .* at least 2"):
        hold_out_classes(images_of(classes), fraction, seed=0)


@pytest.mark.parametrize(("classes", "folds"), [(8, 4), (10, 4), (11, 3), (4, 2), (41, 20)])
def test_folds_share_out_all_classes_evenly_and_train_on_the_rest(classes: int, folds: int) -> None:
    whole = images_of(classes)
    held_out = []
    for fold in range(folds):
        train, validation = hold_out_fold(whole, folds, seed=3, fold=fold)
        assert sorted(train.class_names + validation.class_names) == sorted(whole.class_names)
        held_out.append(validation.class_names)
    assert sorted(name for names in held_out for name in names) == sorted(whole.class_names)
    sizes = [len(names) for names in held_out]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_alone_decides_the_folds() -> None:
    chosen = [hold_out_fold(images_of(40), 4, seed, 2)[1].class_names for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_the_first_fold_is_what_one_fold_holds_out() -> None:
    whole = images_of(10)
    parts = [HoldOut(0.25, seed=5, folds=folds).split(whole, 0) for folds in (1, 4)]
    assert parts[0][1].class_names == parts[1][1].class_names
    assert parts[0][0].class_names == parts[1][0].class_names


@pytest.mark.parametrize(
    ("classes", "advice"), [(7, "have at most 3 folds"), (3, "leave folds out")]
)
def test_more_folds_than_classes_allow_are_refused(classes: int, advice: str) -> None:
    sentence = f"{classes} training classes can't make 4 folds of at least 2 classes each: {advice}"
    with pytest.raises(DataError, match=sentence):
        hold_out_fold(images_of(classes), 4, seed=0, fold=0)
