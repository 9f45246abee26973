"""Validation classes held out of the training half."""

from typing import NamedTuple

import numpy as np

from histsearch.data.image_set import ImageSet
from histsearch.data.queries import check_queries
from histsearch.exceptions import DataError
from histsearch.wording import counted

_FEWEST_CLASSES = 2


class HoldOut(NamedTuple):
    """Which classes of the training half validate; as `hold_out_classes` takes them."""

    fraction: float
    seed: int


USUAL_HOLD_OUT = HoldOut(fraction=0.25, seed=0)
"""What a search holds out unless its space says otherwise."""


def hold_out_classes(train: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split the training images into class-disjoint training and validation images.

    Hyperparameters are to be chosen on the validation images, which leaves the test classes
    untouched until the end (Musgrave et al., "A Metric Learning Reality Check", ECCV 2020,
    section 3.2).

    Args:
        train: The training half of a data set.
        fraction: Share of its C classes to hold out; ``round(fraction * C)`` of them are.
        seed: Decides which classes; the same seed always holds out the same ones.

    Returns:
        Training images and validation images, each relabelled from 0 in the order of ``train``.

    Raises:
        DataError: If either part would have fewer than 2 classes, or if every validation class has
            one image alone.
    """
    count = round(fraction * train.num_classes)
    remaining = train.num_classes - count
    if min(count, remaining) < _FEWEST_CLASSES:
        raise DataError(
            f"Holding out {fraction:g} of "
            f"{counted(train.num_classes, 'training class')} leaves {remaining} "
            f"for training and {count} for validation, but each needs at least "
            f"{_FEWEST_CLASSES}: change the fraction or use a data set with more classes."
        )
    order = np.random.default_rng(seed).permutation(train.num_classes).tolist()
    validation = train.of_classes(sorted(order[:count]))
    check_queries("validation", validation)
    return train.of_classes(sorted(order[count:])), validation
