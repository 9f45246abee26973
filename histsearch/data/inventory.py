"""What a data folder holds."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from histsearch.data.census import take_census
from histsearch.data.class_folders import is_clutter
from histsearch.data.dataset_record import DatasetRecord, Size
from histsearch.data.file_system import FOLDER, UnreachableError, entries, kind_at
from histsearch.data.folder import OWN_IMAGES, SPLIT_FILE, own_images_below
from histsearch.data.glyphs import GLYPHS
from histsearch.data.hold_out import USUAL_HOLD_OUT
from histsearch.data.known_datasets import official_datasets
from histsearch.data.layouts import ARCHIVES_FOLDER, is_begun
from histsearch.data.queries import LoneQueriesError
from histsearch.data.verification import inspect
from histsearch.exceptions import DataError


class State(StrEnum):
    """Whether a data set can be used, in a search with the usual protocol."""

    ready = "ready"
    incomplete = "incomplete"
    unreadable = "unreadable"
    too_small = "too small"
    missing = "missing"


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes:
        name: As in `load_dataset`.
        state: Whether it can be used.
        sizes: Classes and images of each part, empty if they can't be told.
        faults: Why it is incomplete, unreadable or too small.
        warnings: What figures on it can't tell in such a search.
    """

    name: str
    state: State
    sizes: dict[str, Size]
    faults: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def take_inventory(data_dir: Path) -> list[Entry]:
    """Inspect every known data set, and each folder in ``data_dir`` that can serve as one.

    No image is decoded. A folder can serve if its classes can be told, or might if it can't be
    read; one with a ``split.csv`` is meant to. Where no data set lies in ``data_dir``, it may be
    one itself.
    """
    official = [_official(record, data_dir) for record in official_datasets()]
    try:
        names = _own_folders(data_dir)
    except UnreachableError as error:
        own = [Entry(OWN_IMAGES.name, State.unreadable, {}, (str(error),))]
    else:
        own = _own(data_dir, [(own_images_below(name), data_dir / name) for name in names])
    if not own and all(entry.state == State.missing for entry in official):
        own = _own(data_dir, [(OWN_IMAGES, data_dir)])
    return [_entry(GLYPHS, data_dir), *official, *own]


def _own(data_dir: Path, folders: Iterable[tuple[DatasetRecord, Path]]) -> list[Entry]:
    entries = [(_entry(record, data_dir), folder) for record, folder in folders]
    return [
        entry
        for entry, folder in entries
        if entry.sizes
        or entry.state in (State.unreadable, State.too_small)
        or (folder / SPLIT_FILE).is_file()
    ]


def _official(record: DatasetRecord, data_dir: Path) -> Entry:
    try:
        if not is_begun(record.layouts, data_dir):
            return Entry(record.name, State.missing, {}, ())
    except UnreachableError as error:
        return Entry(record.name, State.unreadable, {}, (str(error),))
    return _entry(record, data_dir)


def _entry(record: DatasetRecord, data_dir: Path) -> Entry:
    try:
        inspection = inspect(record, data_dir)
    except UnreachableError as error:
        return Entry(record.name, State.unreadable, {}, (str(error),))
    except LoneQueriesError as error:
        return Entry(record.name, State.too_small, {}, (str(error),))
    except DataError as error:
        return Entry(record.name, State.incomplete, {}, (str(error),))
    if inspection.faults:
        return Entry(record.name, State.incomplete, inspection.sizes, inspection.faults)
    try:
        census = take_census(inspection.dataset, USUAL_HOLD_OUT)
    except DataError as error:
        return Entry(record.name, State.too_small, inspection.sizes, (str(error),))
    return Entry(record.name, State.ready, inspection.sizes, (), tuple(census.warnings()))


def _own_folders(data_dir: Path) -> list[str]:
    if kind_at(data_dir) != FOLDER:
        return []
    taken = {
        piece.destination.parts[0]
        for record in official_datasets()
        for layout in record.layouts
        for piece in layout
    }
    return [
        entry.name
        for entry in entries(data_dir)
        if not is_clutter(entry.name)
        and entry.name not in taken | {ARCHIVES_FOLDER}
        and _may_be_folder(entry)
    ]


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # why is told when it is read
        return True
