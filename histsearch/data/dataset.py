"""Data sets by name."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from histsearch.data.cars196 import read_cars196
from histsearch.data.catalog import dataset_reader, dataset_subfolder
from histsearch.data.cub200 import read_cub200
from histsearch.data.file_system import unreachable
from histsearch.data.folder import read_folder
from histsearch.data.glyphs import read_glyphs
from histsearch.data.image_set import ImageSet
from histsearch.data.inshop import read_inshop
from histsearch.data.pixels import rgb_as_shown
from histsearch.data.queries import check_queries
from histsearch.data.sop import read_sop
from histsearch.folders import path_below


@dataclass(frozen=True)
class Dataset:
    """A data set whose training and test images share no class.

    Attributes:
        name: As in `load_dataset`.
        train: The training half, out of which validation classes are held.
        test: The test half; with a gallery, its query images.
        gallery: The images that queries are ranked against, labelled as ``test`` is; None where
            queries are ranked against one another.
        remarks: What a user should know of how it was read, such as which files were skipped.
    """

    name: str
    train: ImageSet
    test: ImageSet
    gallery: ImageSet | None = None
    remarks: tuple[str, ...] = field(default=(), kw_only=True)

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


_READERS: dict[str, Callable[[Path], tuple[ImageSet, ...]]] = {
    "glyphs": lambda _: read_glyphs(),
    "cub200": read_cub200,
    "cars196": read_cars196,
    "sop": read_sop,
    "inshop": read_inshop,
}


def load_dataset(name: str, data_dir: Path) -> Dataset:
    """Read a data set.

    Args:
        name: ``glyphs``, ``folder`` (``data_dir`` itself), ``folder:SUBFOLDER``, ``cub200``,
            ``cars196``, ``sop`` or ``inshop``.
        data_dir: The folder that holds the data sets in their official layouts.

    Raises:
        SpaceError: If the name is unknown.
        DataError: If the data set is missing, incomplete or of another layout, or can't be reached,
            or if no test image has another of its class to find.
    """
    try:
        dataset = _read(name, data_dir)
    except OSError as error:
        place = error.filename
        raise unreachable(Path(place) if isinstance(place, str) else data_dir, error) from error
    check_queries("test", dataset.test, dataset.gallery)
    return dataset


def _read(name: str, data_dir: Path) -> Dataset:
    reader = dataset_reader(name)
    if reader == "folder":
        own = read_folder(own_folder(name, data_dir))
        return Dataset(name, own.train, own.test, remarks=own.remarks)
    return Dataset(name, *_READERS[reader](data_dir))


def own_folder(name: str, data_dir: Path) -> Path:
    """The folder of ``folder`` or ``folder:SUBFOLDER``, by its name on disk.

    Raises:
        UnreachableError: If it can't be looked for, or no folder can have that name.
    """
    subfolder = dataset_subfolder(name)
    try:
        return path_below(data_dir, subfolder)
    except (OSError, ValueError) as error:
        raise unreachable(data_dir / subfolder, error) from error
