"""Validation classes held out of the training half."""

from typing import NamedTuple

import numpy as np

from histsearch.data.image_set import ImageSet
from histsearch.data.queries import check_queries
from histsearch.exceptions import DataError
from histsearch.wording import counted

_FEWEST_CLASSES = 2


class HoldOut(NamedTuple):
    """Which classes of the training half validate.

    Attributes:
        fraction: Share of the classes that validate, where there is one fold.
        seed: Decides which classes.
        folds: Parts that the classes are divided into, each of which validates in turn; with one,
            ``fraction`` of the classes always do.
    """

    fraction: float
    seed: int
    folds: int = 1

    def split(self, train: ImageSet, fold: int) -> tuple[ImageSet, ImageSet]:
        """Split the training images for a run that validates on a fold.

        Args:
            train: The training half of a data set.
            fold: From 0 on.

        Returns:
            As `hold_out_classes`.

        Raises:
            DataError: There are too few classes, or every class that validates has one image.
        """
        if self.folds == 1:
            return hold_out_classes(train, self.fraction, self.seed)
        return hold_out_fold(train, self.folds, self.seed, fold)


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
    return _split_at(train, 0, count, seed)


def hold_out_fold(train: ImageSet, folds: int, seed: int, fold: int) -> tuple[ImageSet, ImageSet]:
    """Split the training images of one fold, whose classes are in no other fold.

    The folds share out all classes, and differ by one class at most. The first is what
    `hold_out_classes` holds out for a fraction of 1/folds.

    Args:
        train: The training half of a data set.
        folds: Number of folds, 2 or more.
        seed: Decides which classes make which fold.
        fold: The one that validates, from 0 on; the others train.

    Returns:
        As `hold_out_classes`.

    Raises:
        DataError: If a fold would have fewer than 2 classes, or if every class of this one has one
            image alone.
    """
    classes = train.num_classes
    most = classes // _FEWEST_CLASSES
    if most < folds:
        advice = f"have at most {most} folds" if most > 1 else "leave folds out"
        raise DataError(
            f"{counted(classes, 'training class')} can't make {folds} folds of at least "
            f"{_FEWEST_CLASSES} classes each: {advice}, or use a data set with more classes."
        )
    first, last = (round(one * classes / folds) for one in (fold, fold + 1))
    return _split_at(train, first, last, seed)


def _split_at(train: ImageSet, first: int, last: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Of the classes in the seed's order, those from ``first`` to before ``last`` validate."""
    order = np.random.default_rng(seed).permutation(train.num_classes).tolist()
    validation = train.of_classes(sorted(order[first:last]))
    check_queries("validation", validation)
    return train.of_classes(sorted([*order[:first], *order[last:]])), validation
