"""The class-disjoint split of the official data sets: first classes train, later ones test."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from histsearch.data.dataset_record import Halves
from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DataError
from histsearch.wording import counted


class ListedImage(NamedTuple):
    """An image as a data set lists it, with its 1-based class id."""

    path: Path
    class_id: int


def split_by_class_id(
    images: Iterable[ListedImage], last_training_class: int, source: Path
) -> Halves:
    """Split images at a class id.

    Args:
        images: All images of the data set.
        last_training_class: Ids up to this one train, ids above it test.
        source: The file or folder that lists the images, for messages.

    Returns:
        The halves; the classes are numbered by ascending id.

    Raises:
        DataError: If there is no training image or no test image.
    """
    train: list[tuple[Path, str]] = []
    test: list[tuple[Path, str]] = []
    for path, class_id in images:
        half = train if class_id <= last_training_class else test
        half.append((path, f"{class_id:05d}"))
    if not train or not test:
        raise DataError(
            f"{source} lists {counted(len(train), 'image')} of training classes "
            f"(1 to {last_training_class}) "
            f"and {len(test)} of test classes (above {last_training_class}), but each half needs "
            "some: unpack the data set again."
        )
    return Halves(ImageSet.from_files(train), ImageSet.from_files(test))
