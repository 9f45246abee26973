"""Names of the data sets and the R@K each is scored with.

The command line reads this module, so it imports nothing heavy.
"""

from pathlib import PurePath

from histsearch.exceptions import SpaceError

_FOLDER_PREFIX = "folder:"

_RECALL_KS = {
    "glyphs": (1, 2, 4, 8, 16, 32),
    "folder": (1, 2, 4, 8, 16, 32),
    "cub200": (1, 2, 4, 8, 16, 32),
    "cars196": (1, 2, 4, 8, 16, 32),
    "sop": (1, 10, 100, 1000),
    "inshop": (1, 10, 20, 30, 40, 50),
}


def check_dataset_name(name: str) -> None:
    """Check that ``name`` is a data set this program can read.

    Raises:
        SpaceError: If the name is unknown, or the SUBFOLDER of ``folder:SUBFOLDER`` is empty,
            absolute or leads out of the data directory.
    """
    if name in _RECALL_KS:
        return
    if not name.startswith(_FOLDER_PREFIX):
        raise SpaceError(
            f"There is no data set {name!r}: choose one of glyphs, folder, folder:SUBFOLDER, "
            "cub200, cars196, sop and inshop."
        )
    subfolder = PurePath(name.removeprefix(_FOLDER_PREFIX))
    if not subfolder.parts or subfolder.is_absolute() or ".." in subfolder.parts:
        raise SpaceError(
            f"The data set {name!r} names no folder inside the data directory: write "
            "folder:SUBFOLDER with a relative path and without '..'."
        )


def dataset_reader(name: str) -> str:
    """Name of the reader of a data set: the name itself, or ``folder`` for any subfolder."""
    check_dataset_name(name)
    return "folder" if name.startswith(_FOLDER_PREFIX) else name


def dataset_subfolder(name: str) -> str:
    """The SUBFOLDER of ``folder:SUBFOLDER``, relative to the data directory; else ``"."``."""
    check_dataset_name(name)
    return name.removeprefix(_FOLDER_PREFIX) if name.startswith(_FOLDER_PREFIX) else "."


def recall_ks(name: str) -> tuple[int, ...]:
    """The K of every R@K that papers report for this data set.

    Own images (``folder``) and ``glyphs`` use those of CUB-200-2011 and Cars-196.

    Raises:
        SpaceError: If the name is unknown.
    """
    return _RECALL_KS[dataset_reader(name)]


def nmi_repeats(name: str) -> int:
    """Number of clusterings whose mean NMI papers report for this data set.

    Raises:
        SpaceError: If the name is unknown.
    """
    return 1 if dataset_reader(name) in ("sop", "inshop") else 10
