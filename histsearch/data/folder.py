"""``folder``: any tree of folders whose leaves hold the images of one class each."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from histsearch.data.image_set import ImageSet
from histsearch.data.plain_files import check_plain
from histsearch.exceptions import DataError

SPLIT_FILE = "split.csv"

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_LAYOUT = f"one folder a class with its images ({', '.join(_SUFFIXES)})"
_SPLIT_WORDS = ("train", "test", "ignore")
_FEWEST_CLASSES = 2
_READY_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def read_folder(root: Path) -> tuple[ImageSet, ImageSet]:
    """Read every image below ``root``; names that begin with a dot are passed over.

    A class is a folder that holds images, named by its path relative to ``root`` (such as
    ``Balinese/character01``). In the sorted order of these names the first half of the classes
    trains and the second half tests; of an odd number, training gets the one more. A file
    ``split.csv`` in ``root`` overrides that: with the header ``class,split`` it lists every class
    with ``train``, ``test`` or ``ignore``.

    Returns:
        Training and test images.

    Raises:
        DataError: If the folder is missing, an image lies outside a class folder, ``split.csv``
            doesn't fit the classes, either half has fewer than 2 classes, or the folders are
            split into train and test already.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}: name one that holds {_LAYOUT}, or create it.")
    files = list(_list_images(root))
    classes = sorted({name for _, name in files})
    _check_no_ready_split(root, classes)
    split_file = root / SPLIT_FILE
    # Whatever has that name is meant to be read, even if it can't be.
    is_split = os.path.lexists(split_file)
    split_of = _read_split(split_file, classes) if is_split else _halve(classes)
    train, test = (
        [(path, name) for path, name in files if split_of[name] == half]
        for half in ("train", "test")
    )
    _check_class_counts(root, train, test)
    return ImageSet.from_files(train), ImageSet.from_files(test)


def _check_no_ready_split(root: Path, classes: list[str]) -> None:
    """Refuse a split whose halves hold the same classes, as for classification."""
    tops = {name.partition("/")[0] for name in classes}
    if len(tops) > 1 and {top.lower() for top in tops} <= _READY_SPLITS:
        raise DataError(
            f"{root} is split into {', '.join(sorted(tops))} already, so one class would lie in "
            f"several folders: give a folder that holds {_LAYOUT}, and {SPLIT_FILE} to choose "
            "which classes test."
        )


def _list_images(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and class name of every image, in sorted order."""
    seen: set[Path] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:  # a link back, or a second one to the same images
            subfolders.clear()
            continue
        seen.add(real)
        # os.walk descends into what is left of the list, in its order.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if any(_is_image(name) for name in names):
            # Beside images a folder named like one is no class: it is refused when it is read.
            names += [name for name in subfolders if _is_image(name)]
            subfolders[:] = [name for name in subfolders if not _is_image(name)]
        for name in sorted(names):
            if not _is_image(name):
                continue
            path = Path(folder, name)
            if path.parent == root:
                raise DataError(
                    f"The image {path} belongs to no class: move it into a folder of its class, "
                    f"as {root} must hold {_LAYOUT}."
                )
            yield path, path.parent.relative_to(root).as_posix()


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES)


def _halve(classes: list[str]) -> dict[str, str]:
    boundary = (len(classes) + 1) // 2
    return {name: "train" if i < boundary else "test" for i, name in enumerate(classes)}


def _read_split(split_file: Path, classes: list[str]) -> dict[str, str]:
    """Return the split of every class as listed.

    Raises:
        DataError: If the file isn't what `read_folder` describes.
    """
    known = set(classes)
    split_of: dict[str, str] = {}
    for number, name, split in _split_rows(split_file):
        place = f"{split_file}, line {number}"
        if name not in known:
            raise DataError(
                f"{place}, lists the class {name!r}, but no folder of that name holds images: "
                "correct or remove the line."
            )
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


def _split_rows(split_file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, class and split of each row below the header."""
    try:
        check_plain(split_file)
        lines = split_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{split_file} can't be read ({error}): save it as UTF-8 text or remove it."
        ) from error
    for number, fields in enumerate(csv.reader(lines), start=1):
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
    root: Path, train: list[tuple[Path, str]], test: list[tuple[Path, str]]
) -> None:
    train_count, test_count = (len({name for _, name in half}) for half in (train, test))
    if min(train_count, test_count) < _FEWEST_CLASSES:
        raise DataError(
            f"{root} has {train_count} training and {test_count} test classes, but each half "
            f"needs at least {_FEWEST_CLASSES}: it must hold {_LAYOUT}."
        )
