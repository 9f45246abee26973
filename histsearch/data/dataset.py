"""Data sets by name."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from histsearch.data.dataset_record import DatasetRecord
from histsearch.data.file_system import unreachable
from histsearch.data.image_cache import DatasetCache
from histsearch.data.image_set import ImageSet
from histsearch.data.known_datasets import find_dataset
from histsearch.data.pixels import rgb_as_shown
from histsearch.data.queries import check_queries


@dataclass(frozen=True)
class Dataset:
    """A data set whose training and test images share no class.

    Attributes:
        record: What is known of it besides its images.
        train: The training half, out of which validation classes are held.
        test: The test half; with a gallery, its query images.
        gallery: The images that queries are ranked against, labelled as ``test`` is; None where
            queries are ranked against one another.
        remarks: What a user should know of how it was read, such as which files were skipped.
    """

    record: DatasetRecord
    train: ImageSet
    test: ImageSet
    gallery: ImageSet | None = None
    remarks: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def name(self) -> str:
        """As in `load_dataset`."""
        return self.record.name

    def with_cache(self, cache: DatasetCache) -> "Dataset":
        """The same data set, whose images may be kept decoded."""
        gallery = None if self.gallery is None else self.gallery.with_cache(cache)
        return replace(
            self,
            train=self.train.with_cache(cache),
            test=self.test.with_cache(cache),
            gallery=gallery,
        )

    def parts(self) -> dict[str, ImageSet]:
        """Its image sets by name: ``train`` and ``test``, or ``train``, ``query``, ``gallery``."""
        if self.gallery is None:
            return {"train": self.train, "test": self.test}
        return {"train": self.train, "query": self.test, "gallery": self.gallery}

    def fingerprint(self) -> str:
        """A digest of the classes of each part, their numbers of images and how those are read.

        Of the pixels themselves nothing enters.
        """
        content: list[object] = [
            (name, images.class_names, np.bincount(images.labels_N).tolist())
            for name, images in self.parts().items()
        ]
        if self.train.to_rgb is rgb_as_shown:
            content.append("pixels as shown")
        return hashlib.sha256(repr(content).encode()).hexdigest()


def load_dataset(name: str, data_dir: Path) -> Dataset:
    """Read the data set of that name.

    Args:
        name: As in `find_dataset`.
        data_dir: The folder that holds the data sets in their official layouts.

    Raises:
        SpaceError: If the name is unknown.
        DataError: As `read_dataset`.
    """
    return read_dataset(find_dataset(name), data_dir)


def read_dataset(record: DatasetRecord, data_dir: Path) -> Dataset:
    """Read a data set from the folder that holds the data sets in their official layouts.

    Raises:
        DataError: If the data set is missing, incomplete or of another layout, or can't be reached,
            or if no test image has another of its class to find.
    """
    try:
        halves = record.read(data_dir)
    except OSError as error:
        place = error.filename
        raise unreachable(Path(place) if isinstance(place, str) else data_dir, error) from error
    check_queries("test", halves.test, halves.gallery)
    return Dataset(record, halves.train, halves.test, halves.gallery, remarks=halves.remarks)
