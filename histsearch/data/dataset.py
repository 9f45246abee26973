"""Data sets by name."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histsearch.data.cars196 import read_cars196
from histsearch.data.catalog import dataset_reader, dataset_subfolder
from histsearch.data.cub200 import read_cub200
from histsearch.data.folder import read_folder
from histsearch.data.glyphs import read_glyphs
from histsearch.data.image_set import ImageSet
from histsearch.data.inshop import read_inshop
from histsearch.data.queries import check_queries
from histsearch.data.sop import read_sop


@dataclass(frozen=True)
class Dataset:
    """A data set whose training and test images share no class.

    Attributes:
        name: As in `load_dataset`.
        train: The training half, out of which validation classes are held.
        test: The test half; with a gallery, its query images.
        gallery: The images that queries are ranked against, labelled as ``test`` is; None where
            queries are ranked against one another.
    """

    name: str
    train: ImageSet
    test: ImageSet
    gallery: ImageSet | None = None

    def parts(self) -> dict[str, ImageSet]:
        """Its image sets by name: ``train`` and ``test``, or ``train``, ``query``, ``gallery``."""
        if self.gallery is None:
            return {"train": self.train, "test": self.test}
        return {"train": self.train, "query": self.test, "gallery": self.gallery}

    def fingerprint(self) -> str:
        """A digest of the classes of each part and their numbers of images, not of the pixels."""
        content = [
            (name, images.class_names, np.bincount(images.labels_N).tolist())
            for name, images in self.parts().items()
        ]
        return hashlib.sha256(repr(content).encode()).hexdigest()


_READERS: dict[str, Callable[[Path], tuple[ImageSet, ...]]] = {
    "glyphs": lambda _: read_glyphs(),
    "folder": read_folder,
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
        DataError: If the data set is missing, incomplete or of another layout, or if no test image
            has another of its class to find.
    """
    read = _READERS[dataset_reader(name)]
    dataset = Dataset(name, *read(data_dir / dataset_subfolder(name)))
    check_queries("test", dataset.test, dataset.gallery)
    return dataset
