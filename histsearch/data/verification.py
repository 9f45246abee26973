"""Checks that a data set is whole: its counts, its files, and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histsearch.data.cub200 import listed_in_images_txt
from histsearch.data.dataset import load_dataset
from histsearch.data.plain_files import other_kind
from histsearch.data.published import PUBLISHED, Size
from histsearch.data.readable_images import unreadable_files

_FEW = 5


@dataclass(frozen=True)
class Inspection:
    """What a data set holds, found without decoding an image.

    Attributes:
        sizes: Classes and images of each part, by the names of `Dataset.parts`.
        paths: The image files that exist.
        faults: What differs from the published data set, one line each.
    """

    sizes: dict[str, Size]
    paths: tuple[Path, ...]
    faults: tuple[str, ...]


def inspect(name: str, data_dir: Path) -> Inspection:
    """Read a data set, count it, and look for its files.

    Args:
        name: As in `load_dataset`.
        data_dir: The folder that holds the data sets.

    Raises:
        SpaceError: If the name is unknown.
        DataError: If the data set is missing or of another layout.
    """
    parts = load_dataset(name, data_dir).parts()
    sizes = {part: Size(images.num_classes, len(images)) for part, images in parts.items()}
    read = [path for images in parts.values() for path in images.paths]
    present = [path for path in read if path.is_file()]
    listed = read
    if name == "cub200":
        listed = listed_in_images_txt(data_dir) or read
    others = {path: kind for path in {*read, *listed} if (kind := other_kind(path))}
    missing = sorted(set(listed).difference(present, others))
    unlisted = sorted(set(present).difference(listed))
    faults = _size_faults(sizes, PUBLISHED.get(name, {}))
    if missing:
        faults.append(f"{_share(missing, listed)} listed images are missing: {_first(missing)}")
    if others:
        named = [f"{path} ({others[path]})" for path in sorted(others)]
        faults.append(f"{_share(named, read)} images are no plain files: {_first(named)}")
    if unlisted:
        faults.append(f"{_share(unlisted, read)} images aren't listed: {_first(unlisted)}")
    return Inspection(sizes, tuple(present), tuple(faults))


def decoding_faults(paths: Sequence[Path], processes: int) -> list[str]:
    """Decode image files in several processes.

    Returns:
        One fault that counts the files that can't be read and names the first few, or none.
    """
    found = [f"{path} ({reason})" for path, reason in unreadable_files(paths, processes)]
    return [f"{_share(found, paths)} images can't be read: {_first(found)}"] if found else []


def _size_faults(sizes: Mapping[str, Size], published: Mapping[str, Size]) -> list[str]:
    return [
        f"{part}: {sizes[part]}, published are {expected} ({_difference(sizes[part], expected)})"
        for part, expected in published.items()
        if sizes[part] != expected
    ]


def _difference(size: Size, expected: Size) -> str:
    texts = []
    for noun, here, wanted in zip(size._fields[::-1], size[::-1], expected[::-1], strict=True):
        if here != wanted:
            texts.append(f"{abs(wanted - here):,} {noun} {'missing' if here < wanted else 'extra'}")
    return ", ".join(texts)


def _share(some: Sequence[object], of: Sequence[object]) -> str:
    return f"{len(some):,} of {len(of):,}"


def _first(things: Sequence[object]) -> str:
    more = f" and {len(things) - _FEW:,} more" if len(things) > _FEW else ""
    return ", ".join(str(thing) for thing in things[:_FEW]) + more
