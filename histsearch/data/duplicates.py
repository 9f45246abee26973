"""Image files that a data set holds more than once, byte for byte."""

import hashlib
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from histsearch.data.dataset import Dataset

_FEW = 5
_TRAINING = "train"


class _Place(NamedTuple):
    """Where a data set has an image."""

    part: str
    class_name: str
    path: Path


def duplicates(dataset: Dataset) -> list[str]:
    """Find files of the same content, read only where their sizes agree.

    Files that can't be read are passed over.

    Returns:
        A sentence that counts the images in both halves, one for those of several classes and one
        for those that one class has more than once; each names the first few.
    """
    across_halves, across_classes, within_a_class = [], [], []
    for places in _same_content(dataset):
        if len({place.part == _TRAINING for place in places}) > 1:
            across_halves.append(places)
        elif len({place.class_name for place in places}) > 1:
            across_classes.append(places)
        else:
            within_a_class.append(places)
    kinds = {
        "in the training and the test half": across_halves,
        "in more than one class": across_classes,
        "more than once in one class, where each copy finds another": within_a_class,
    }
    return [_sentence(kind, groups) for kind, groups in kinds.items() if groups]


def _sentence(kind: str, groups: Sequence[Sequence[_Place]]) -> str:
    named = ["=".join(str(place.path) for place in places) for places in groups[:_FEW]]
    more = f" and {len(groups) - _FEW:,} more" if len(groups) > _FEW else ""
    files = "1 file is" if len(groups) == 1 else f"{len(groups):,} files are"
    return f"{files} {kind}: {', '.join(named)}{more}"


def _same_content(dataset: Dataset) -> Iterator[list[_Place]]:
    """Yield the places of each content that has more than one, in order."""
    places_of: defaultdict[Path, list[_Place]] = defaultdict(list)
    for place in _places(dataset):
        places_of[place.path].append(place)
    groups = list(_equal_files(places_of))
    grouped = {path for paths in groups for path in paths}
    groups += [
        [path] for path, places in places_of.items() if len(places) > 1 and path not in grouped
    ]
    rank = {path: number for number, path in enumerate(places_of)}
    for paths in sorted(groups, key=lambda paths: rank[paths[0]]):
        yield [place for path in paths for place in places_of[path]]


def _places(dataset: Dataset) -> Iterator[_Place]:
    for part, images in dataset.parts().items():
        # Images in memory have no file.
        for path, label in zip(images.paths, images.labels_N.tolist(), strict=False):
            yield _Place(part, images.class_names[label], path)


def _equal_files(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield files of one content, those that have the same as another alone."""
    of_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        of_size[_size(path)].append(path)
    of_size.pop(0, None)
    for candidates in of_size.values():
        if len(candidates) > 1:
            yield from _of_one_content(candidates)


def _of_one_content(paths: Iterable[Path]) -> Iterator[list[Path]]:
    of_digest: defaultdict[bytes, list[Path]] = defaultdict(list)
    for path in paths:
        digest = _digest(path)
        if digest is not None:
            of_digest[digest].append(path)
    yield from (same for same in of_digest.values() if len(same) > 1)


def _size(path: Path) -> int:
    """Bytes of a plain file; 0 of whatever else may lie there."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
