"""Checks that a data set is whole: its counts, its files, and what they hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histsearch.data.dataset import Dataset, read_dataset
from histsearch.data.dataset_record import DatasetRecord, Size
from histsearch.data.file_system import PLAIN_FILE, UnreachableError, kind_at
from histsearch.data.pixels import ToRGB, reference_rgb
from histsearch.data.readable_images import unreadable_files
from histsearch.wording import counted

_FEW = 5
_USUAL = (PLAIN_FILE, None)


@dataclass(frozen=True)
class Inspection:
    """What a data set holds, found without decoding an image.

    Attributes:
        dataset: The data set itself.
        sizes: Classes and images of each part, by the names of `Dataset.parts`.
        paths: The images that are plain files.
        faults: What differs from the published data set, or is no file to read, one line each.
    """

    dataset: Dataset
    sizes: dict[str, Size]
    paths: tuple[Path, ...]
    faults: tuple[str, ...]


def inspect(record: DatasetRecord, data_dir: Path) -> Inspection:
    """Read a data set, count it, and look for its files.

    Args:
        record: What is known of the data set.
        data_dir: The folder that holds the data sets.

    Raises:
        DataError: If the data set is missing or of another layout.
    """
    dataset = read_dataset(record, data_dir)
    parts = dataset.parts()
    sizes = {part: Size(images.num_classes, len(images)) for part, images in parts.items()}
    read = [path for images in parts.values() for path in images.paths]
    listed = record.listed(data_dir) or read
    kinds, unreachable = _look_for({*read, *listed})
    present = [path for path in read if kinds.get(path) == PLAIN_FILE]
    missing = sorted(path for path in set(listed) if kinds.get(path, PLAIN_FILE) is None)
    unlisted = sorted(set(present).difference(listed))
    odd = [f"{path} ({kind})" for path, kind in sorted(kinds.items()) if kind not in _USUAL]
    unreached = [f"{path} ({reason})" for path, reason in sorted(unreachable.items())]
    faults = _size_faults(sizes, record.published)
    if missing:
        faults.append(f"{_share(missing, listed)} listed images are missing: {_first(missing)}")
    if unreached:
        faults.append(f"{_share(unreached, read)} images can't be reached: {_first(unreached)}")
    if odd:
        faults.append(f"{_share(odd, read)} images aren't plain files: {_first(odd)}")
    if unlisted:
        faults.append(f"{_share(unlisted, read)} images aren't listed: {_first(unlisted)}")
    return Inspection(dataset, sizes, tuple(present), tuple(faults))


def _look_for(paths: Iterable[Path]) -> tuple[dict[Path, str | None], dict[Path, str]]:
    """What lies at each path, and of those of which that can't be told, why."""
    kinds: dict[Path, str | None] = {}
    unreachable: dict[Path, str] = {}
    for path in paths:
        try:
            kinds[path] = kind_at(path)
        except UnreachableError as error:
            unreachable[path] = error.reason
    return kinds, unreachable


def decoding_faults(
    paths: Sequence[Path], processes: int, to_rgb: ToRGB = reference_rgb
) -> list[str]:
    """Decode image files in several processes.

    Args:
        paths: The files.
        processes: As in `unreadable_files`.
        to_rgb: As there.

    Returns:
        One fault that counts the files that can't be read and names the first few, or none.
    """
    unreadable = unreadable_files(paths, processes, to_rgb)
    found = [f"{path} ({reason})" for path, reason in unreadable]
    return [f"{_share(found, paths)} images can't be read: {_first(found)}"] if found else []


def _size_faults(sizes: Mapping[str, Size], published: Mapping[str, Size]) -> list[str]:
    return [
        f"{part}: {sizes[part]}, published are {expected} ({_difference(sizes[part], expected)})"
        for part, expected in published.items()
        if sizes[part] != expected
    ]


def _difference(size: Size, expected: Size) -> str:
    counts = (("image", size.images, expected.images), ("class", size.classes, expected.classes))
    return ", ".join(
        f"{counted(abs(wanted - here), noun)} {'missing' if here < wanted else 'extra'}"
        for noun, here, wanted in counts
        if here != wanted
    )


def _share(some: Sequence[object], of: Sequence[object]) -> str:
    return f"{len(some):,} of {len(of):,}"


def _first(things: Sequence[object]) -> str:
    more = f" and {len(things) - _FEW:,} more" if len(things) > _FEW else ""
    return ", ".join(str(thing) for thing in things[:_FEW]) + more
