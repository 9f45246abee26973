"""The classes of a tree of folders: each folder that holds images is one."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from histsearch.data.file_system import FOLDER, entries, kind_at, leads_to_folder
from histsearch.exceptions import DataError
from histsearch.folders import composed
from histsearch.wording import counted, shortened

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LAYOUT = f"one folder a class with its images ({', '.join(SUFFIXES)})"

_FEW = 3
# What operating systems and disk stations leave behind, besides hidden files: nobody's images.
_CLUTTER = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "lost+found",
    "$recycle.bin",
    "system volume information",
}


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is passed over without a word."""
    return name.startswith(".") or name.lower() in _CLUTTER


class ClassFolders:
    """The images below a folder, with the class of each.

    Args:
        root: The folder.
        used: Names of files directly in it that are no images and yet of use.

    Attributes:
        files: Path and class of each image. A class is named by the path of its folder relative to
            ``root``, composed as Unicode's NFC; folders and files come in the order of such names.

    Raises:
        DataError: If a folder can't be listed, a link leads nowhere, an image lies outside a class
            folder, or two class folders have names that read the same.
    """

    def __init__(self, root: Path, used: Iterable[str] = ()) -> None:
        if kind_at(root) != FOLDER:
            raise DataError(
                f"There is no folder {shortened(root)}: name one that holds {LAYOUT}, or create it."
            )
        self.files: list[tuple[Path, str]] = []
        self._root = root
        self._used = {root / name for name in used}
        self._folder_of: dict[str, Path] = {}
        self._skipped: list[Path] = []
        self._without_images: list[Path] = []
        self._known_already: list[Path] = []
        self._walk()

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted(self._folder_of)

    def remarks(self) -> tuple[str, ...]:
        """What a user should know of how the folders were read, one line each."""
        return (
            *_on_skipped_files([self._name(path) for path in self._skipped]),
            *_remark(
                "skipped {} without an image to read",
                "folder",
                [self._name(path) for path in self._without_images],
            ),
            *_remark(
                "skipped {} read already under another name",
                "folder",
                [self._name(path) for path in self._known_already],
            ),
            *_on_equal_names(self.classes),
        )

    def _walk(self) -> None:
        seen: set[Path] = set()
        left = [self._root]
        while left:
            folder = left.pop()
            real = folder.resolve()
            if real in seen:  # a link back, or a second one to the same images
                self._known_already.append(folder)
                continue
            seen.add(real)
            # The last one of the list comes next.
            left += reversed(self._read(folder))

    def _read(self, folder: Path) -> list[Path]:
        """Take in the images of a folder; returns the folders in it."""
        subfolders: list[Path] = []
        images: list[Path] = []
        for entry in entries(folder):
            path = folder / entry.name
            if is_clutter(entry.name):
                continue
            if _is_image(entry):
                images.append(path)
            elif leads_to_folder(entry):
                subfolders.append(path)
            elif path not in self._used:
                self._skipped.append(path)
        if images:
            name = self._class_of(folder, images[0])
            self.files += [(path, name) for path in images]
        elif not subfolders and folder != self._root:
            self._without_images.append(folder)
        return subfolders

    def _class_of(self, folder: Path, image: Path) -> str:
        if folder == self._root:
            raise DataError(
                f"The image {shortened(image)} belongs to no class: move it into a folder of its "
                f"class, as {shortened(folder)} must hold {LAYOUT}."
            )
        name = self._name(folder)
        other = self._folder_of.setdefault(name, folder)
        if other != folder:
            raise DataError(
                f"Two folders in {shortened(self._root)} are named {name!r}, in different code "
                "points: merge them, or rename one."
            )
        return name

    def _name(self, path: Path) -> str:
        return composed(path.relative_to(self._root).as_posix())


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is no folder and named as an image.

    One that isn't there, or can't be reached, is told when it is read.
    """
    if PurePosixPath(entry.name).suffix.lower() not in SUFFIXES:
        return False
    try:
        return not entry.is_dir()
    except OSError:
        return True


def leaf(name: str) -> str:
    """The last part of a class's name."""
    return name.rpartition("/")[2]


def _remark(text: str, thing: str, names: Sequence[str]) -> list[str]:
    return [f"{text.format(counted(len(names), thing))}: {_first(names)}"] if names else []


def _on_skipped_files(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(_suffix(name), name)
    kinds = Counter(map(_suffix, names)).most_common()
    texts = [f"{count:,} {suffix} (such as {first[suffix]})" for suffix, count in kinds]
    return [
        f"skipped {counted(len(names), 'file')}: {_first(texts)}; images are read from "
        f"{', '.join(SUFFIXES)}"
    ]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower() or "without a suffix"


def _on_equal_names(classes: Sequence[str]) -> list[str]:
    paths_of: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        paths_of[leaf(name)].append(name)
    texts = [f"{name} ({_first(paths)})" for name, paths in paths_of.items() if len(paths) > 1]
    return _remark("found {} in several folders, a class of its own in each", "name", texts)


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return shortened(", ".join(names[:_FEW])) + more
