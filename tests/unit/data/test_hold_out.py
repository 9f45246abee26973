import numpy as np
import pytest

from histsearch.data.hold_out import hold_out_classes
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
