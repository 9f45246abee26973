"""``folder``: any tree of folders whose leaves hold the images of one class each."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from histsearch.data.class_folders import LAYOUT, ClassFolders, leaf
from histsearch.data.dataset_record import DatasetRecord, Halves
from histsearch.data.file_system import PLAIN_FILE, kind_at, unreachable
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import rgb_as_shown
from histsearch.exceptions import DataError, SpaceError
from histsearch.folders import composed, path_below

SPLIT_FILE = "split.csv"

_LARGEST_SPLIT = 16 * 2**20  # bytes; 100,000 classes with long names take as much
_SPLIT_WORDS = ("train", "test", "ignore")
_FEWEST_CLASSES = 2
_READY_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def read_folder(root: Path) -> Halves:
    """Read every image below ``root``; hidden files and what systems leave behind are passed over.

    A class is a folder that holds images, named by its path relative to ``root`` (such as
    ``Balinese/character01``). In the sorted order of these names the first half of the classes
    trains and the second half tests; of an odd number, training gets the one more. A file
    ``split.csv`` in ``root`` overrides that: with the header ``class,split`` it lists every class
    with ``train``, ``test`` or ``ignore``, by its name or, where no other class shares it, by the
    last part of its name.

    Raises:
        DataError: If a folder is missing or can't be listed, an image lies outside a class folder,
            ``split.csv`` doesn't fit the classes, either half has fewer than 2 classes, or the
            folders are split into train and test already.
    """
    folders = ClassFolders(root, used=[SPLIT_FILE])
    classes = folders.classes
    _check_no_ready_split(root, classes)
    split_of = _read_split(root / SPLIT_FILE, classes) or _halve(classes)
    train, test = (
        [(path, name) for path, name in folders.files if split_of[name] == half]
        for half in ("train", "test")
    )
    remarks = folders.remarks()
    _check_class_counts(root, train, test, remarks)
    return Halves(
        ImageSet.from_files(train, to_rgb=rgb_as_shown),
        ImageSet.from_files(test, to_rgb=rgb_as_shown),
        remarks=remarks,
    )


def _check_no_ready_split(root: Path, classes: list[str]) -> None:
    """Refuse a split whose halves hold the same classes, as for classification."""
    tops = {name.partition("/")[0] for name in classes}
    if len(tops) > 1 and {top.lower() for top in tops} <= _READY_SPLITS:
        raise DataError(
            f"{root} is split into {', '.join(sorted(tops))} already, so one class would lie in "
            f"several folders: give a folder that holds {LAYOUT}, and {SPLIT_FILE} to choose "
            "which classes test."
        )


def _halve(classes: list[str]) -> dict[str, str]:
    boundary = (len(classes) + 1) // 2
    return {name: "train" if i < boundary else "test" for i, name in enumerate(classes)}


def _read_split(split_file: Path, classes: list[str]) -> dict[str, str]:
    """Return the split of every class as listed; nothing if there is no such file.

    Raises:
        DataError: If the file isn't what `read_folder` describes.
    """
    kind = kind_at(split_file)
    if kind is None:
        return {}
    if kind != PLAIN_FILE:
        raise DataError(f"{split_file} is {kind}, but must be a plain file: replace or remove it.")
    meanings = _meanings(classes)
    split_of: dict[str, str] = {}
    for number, written, split in _split_rows(split_file):
        place = f"{split_file}, line {number}"
        name = _class_meant(place, written, meanings)
        if name in split_of:
            raise DataError(f"{place}, lists the class {name!r} a second time: remove one line.")
        if split not in _SPLIT_WORDS:
            raise DataError(f"{place}, has the split {split!r}: write train, test or ignore.")
        split_of[name] = split
    if unlisted := [name for name in classes if name not in split_of]:
        raise DataError(
            f"{split_file} doesn't list {len(unlisted)} of {len(classes)} classes, the first of "
            f"them {unlisted[0]!r}: add a line for each, with train, test or ignore."
        )
    return split_of


def _meanings(classes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that a name may mean: the one of that name, else those with that last part."""
    meanings: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        meanings[leaf(name)].append(name)
    return {**meanings, **{name: [name] for name in classes}}


def _class_meant(place: str, written: str, meanings: Mapping[str, Sequence[str]]) -> str:
    meant = meanings.get(composed(written), ())
    if not meant:
        raise DataError(
            f"{place}, lists the class {written!r}, but no folder of that name holds images: "
            "correct or remove the line."
        )
    if len(meant) > 1:
        raise DataError(
            f"{place}, lists the class {written!r}, but {len(meant)} folders have that name: write "
            f"its path instead, such as {meant[0]!r} or {meant[1]!r}."
        )
    return meant[0]


def _split_rows(split_file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, class and split of each row below the header."""
    try:
        with split_file.open("rb") as file:
            content = file.read(_LARGEST_SPLIT + 1)
        if len(content) > _LARGEST_SPLIT:
            raise DataError(
                f"{split_file}: found over {_LARGEST_SPLIT // 2**20} MiB, allowed: up to "
                f"{_LARGEST_SPLIT // 2**20} MiB, a line for each class: correct or remove it."
            )
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{split_file} can't be read ({error}): save it as UTF-8 text or remove it."
        ) from error
    for number, fields in enumerate(rows, start=1):
        columns = [field.strip() for field in fields]
        if number == 1 and columns != ["class", "split"]:
            raise DataError(f"{split_file}, line 1, must be the header 'class,split'.")
        if number == 1 or not columns:
            continue
        if len(columns) != 2:
            raise DataError(
                f"{split_file}, line {number}, holds {len(columns)} fields: write class,split."
            )
        yield number, columns[0], columns[1]


def _check_class_counts(
    root: Path,
    train: Sequence[tuple[Path, str]],
    test: Sequence[tuple[Path, str]],
    remarks: Sequence[str],
) -> None:
    train_count, test_count = (len({name for _, name in half}) for half in (train, test))
    if min(train_count, test_count) < _FEWEST_CLASSES:
        found = f" Reading it {'; '.join(remarks)}." if remarks else ""
        raise DataError(
            f"{root} has {train_count} training and {test_count} test classes, but each half "
            f"needs at least {_FEWEST_CLASSES}: it must hold {LAYOUT}.{found}"
        )


def _read_below(data_dir: Path, subfolder: str) -> Halves:
    """Read the folder of that path below ``data_dir``, by its name on disk.

    Raises:
        DataError: As `read_folder`, or if no folder can have that name.
    """
    try:
        root = path_below(data_dir, subfolder)
    except (OSError, ValueError) as error:
        raise unreachable(data_dir / subfolder, error) from error
    return read_folder(root)


OWN_IMAGES = DatasetRecord(
    name="folder",
    read=partial(_read_below, subfolder="."),
    # Those of CUB-200-2011 and Cars-196.
    recall_ks=(1, 2, 4, 8, 16, 32),
    nmi_repeats=10,
)
"""The data folder itself."""


def own_images_below(subfolder: str) -> DatasetRecord:
    """Return the record of own images in a subfolder of the data folder.

    Raises:
        SpaceError: If ``subfolder`` is empty, absolute or leads out of the data folder.
    """
    name = f"{OWN_IMAGES.name}:{subfolder}"
    path = PurePath(subfolder)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise SpaceError(
            f"The data set {name!r} names no folder inside the data directory: write "
            "folder:SUBFOLDER with a relative path and without '..'."
        )
    return replace(OWN_IMAGES, name=name, read=partial(_read_below, subfolder=subfolder))
