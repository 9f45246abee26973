"""The data sets a study can choose from, by name.

The command line reads this module, so it imports no torch, SciPy or matplotlib.
"""

from histsearch.data.cars196 import CARS196
from histsearch.data.cub200 import CUB200
from histsearch.data.dataset_record import DatasetRecord
from histsearch.data.folder import OWN_IMAGES, own_images_below
from histsearch.data.glyphs import GLYPHS
from histsearch.data.inshop import INSHOP
from histsearch.data.sop import SOP
from histsearch.exceptions import DataError, SpaceError
from histsearch.extensions import ExtensionPoint, Provider

_SUBFOLDER_PREFIX = f"{OWN_IMAGES.name}:"

DATASETS: dict[str, DatasetRecord] = {
    record.name: record for record in (GLYPHS, OWN_IMAGES, CUB200, CARS196, SOP, INSHOP)
}
"""Every data set of histsearch's own but the subfolders of one's own images, by name."""

_EXTENSIONS = ExtensionPoint("histsearch.datasets", "data set", DatasetRecord, DATASETS)


def find_dataset(name: str) -> DatasetRecord:
    """Return the record of a data set.

    Args:
        name: That of one of `DATASETS`, or ``folder:SUBFOLDER`` for own images below the folder of
            the data sets, or one that another package adds.

    Raises:
        SpaceError: If the name is unknown, or the SUBFOLDER of ``folder:SUBFOLDER`` is empty,
            absolute or leads out of the data directory, or if the package that adds it can't be
            used.
    """
    if name in DATASETS:
        return DATASETS[name]
    if name.startswith(_SUBFOLDER_PREFIX):
        return own_images_below(name.removeprefix(_SUBFOLDER_PREFIX))
    added = _EXTENSIONS.load(name)
    if added is not None:
        return added
    glyphs, folder, *official, last = (*DATASETS, *_EXTENSIONS.names())
    known = ", ".join((glyphs, folder, f"{_SUBFOLDER_PREFIX}SUBFOLDER", *official))
    raise SpaceError(f"There is no data set {name!r}: choose one of {known} and {last}.")


def dataset_provider(name: str) -> Provider | None:
    """The package that adds a data set; None for histsearch's own, and where it is missing.

    Raises:
        SpaceError: The package can't be used.
    """
    if name in DATASETS or name.startswith(_SUBFOLDER_PREFIX):
        return None
    return _EXTENSIONS.provider(name)


def official_datasets() -> list[DatasetRecord]:
    """Return the records of the data sets that have official archives."""
    return [record for record in DATASETS.values() if record.layouts]


def find_official_dataset(name: str) -> DatasetRecord:
    """Return the record of a data set that has official archives.

    Raises:
        DataError: If no such data set has that name.
    """
    official = {record.name: record for record in official_datasets()}
    if name not in official:
        raise DataError(
            f"The data set {name!r} has no official archive to prepare: choose one of "
            f"{', '.join(official)}."
        )
    return official[name]
