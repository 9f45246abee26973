"""Which images of a data set can be decoded, and the data set of those alone."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from histsearch.data.dataset import Dataset
from histsearch.data.decoding import UnreadableImageError, decode, of_each_file
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import ToRGB, reference_rgb
from histsearch.exceptions import DataError

log = logging.getLogger(__name__)

_FEWEST_CLASSES = 2


def _do_nothing() -> None:
    return None


def without_unreadable(
    dataset: Dataset, processes: int, on_image: Callable[[], object] = _do_nothing
) -> Dataset:
    """Leave out the images that can't be decoded, and the classes that have none left.

    A class goes when a part loses all its images of it. From query and gallery it goes together,
    as they are labelled alike. What is left out is logged as warnings, one for each image and
    class.

    Args:
        dataset: Each of its image files is decoded once; images in memory need no check.
        processes: Processes that decode; with 0 or 1 this one does.
        on_image: Called after each image.

    Returns:
        The reduced data set, or ``dataset`` itself if all its images can be read.

    Raises:
        DataError: If either half would have fewer than 2 classes.
    """
    parts = dataset.parts()
    paths = list(dict.fromkeys(path for images in parts.values() for path in images.paths))
    unreadable: set[Path] = set()
    for path, reason in unreadable_files(paths, processes, dataset.train.to_rgb, on_image):
        log.warning("left out the image %s, which can't be read (%s)", path, reason)
        unreadable.add(path)
    if not unreadable:
        return dataset
    train = {"train": parts.pop("train")}
    halves = (*_reduced(train, unreadable), *_reduced(parts, unreadable))
    reduced = Dataset(dataset.record, *halves, remarks=dataset.remarks)
    if min(reduced.train.num_classes, reduced.test.num_classes) < _FEWEST_CLASSES:
        raise DataError(
            f"{len(unreadable):,} of {len(paths):,} images of {dataset.name} can't be read, which "
            f"leaves {reduced.train.num_classes} training and {reduced.test.num_classes} test "
            f"classes, but each half needs at least {_FEWEST_CLASSES}: replace the images that the "
            "log names."
        )
    return reduced


def _reduced(parts: Mapping[str, ImageSet], unreadable: Collection[Path]) -> list[ImageSet]:
    """Leave files out of parts that are labelled alike, and classes that one of them loses."""
    readable = [_without_files(images, unreadable) for images in parts.values()]
    lost: set[int] = set()
    for (part, before), after in zip(parts.items(), readable, strict=True):
        # A class that had no image here before keeps its place.
        gone = np.setdiff1d(before.labels_N, after.labels_N).tolist()
        for label in gone:
            name = before.class_names[label]
            log.warning("left out the class %s: none of its %s images can be read", name, part)
        lost.update(gone)
    return [
        images.of_classes([label for label in range(images.num_classes) if label not in lost])
        for images in readable
    ]


def _without_files(images: ImageSet, unreadable: Collection[Path]) -> ImageSet:
    bad = [index for index, path in enumerate(images.paths) if path in unreadable]
    return images.take(np.delete(np.arange(len(images)), bad))


def unreadable_files(
    paths: Sequence[Path],
    processes: int,
    to_rgb: ToRGB = reference_rgb,
    on_image: Callable[[], object] = _do_nothing,
) -> Iterator[tuple[Path, str]]:
    """Decode image files.

    Args:
        paths: The files.
        processes: Processes that decode, no more than there is work for; with 0 or 1 this one
            does.
        to_rgb: How an opened file becomes an image in RGB mode.
        on_image: Called after each file.

    Yields:
        Each file that can't be read, in order, and why.
    """
    reasons = of_each_file(partial(_reason, to_rgb=to_rgb), paths, processes)
    for path, reason in zip(paths, reasons, strict=True):
        on_image()
        if reason is not None:
            yield path, reason


def _reason(path: Path, to_rgb: ToRGB) -> str | None:
    """Why an image can't be read; None if it can."""
    try:
        decode(path, to_rgb)
    except UnreadableImageError as error:
        return str(error.__cause__)
    return None
