"""What an image cache holds, for people: to be listed, checked and removed."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from histsearch.data.cache_files import dataset_folders, files_of, forms_in, try_lock
from histsearch.data.cache_index import DamagedIndexError, Index, Stamp


class KeptForm(NamedTuple):
    """What is kept of a data set in one form, for people.

    Attributes:
        dataset: The data set's name; "?" where that can't be read.
        data_dir: The folder of data sets that it was read from.
        form: The form's name.
        images: How many images are kept.
        size: Bytes on the disk.
        fault: What is wrong with it; empty for nothing.
    """

    dataset: str
    data_dir: str
    form: str
    images: int
    size: int
    fault: str


def kept_forms(folder: Path) -> list[KeptForm]:
    """What a cache's folder holds, by data set and form.

    Raises:
        OSError: It can't be listed.
    """
    forms = [
        _kept_form(place, form) for place in dataset_folders(folder) for form in forms_in(place)
    ]
    return [form for form in forms if form.size]


def remove(folder: Path, dataset: str | None = None) -> tuple[int, int]:
    """Remove what a cache's folder holds of a data set, or of all, and nothing else there.

    Processes that read it go on with it; what another process is just making stays.

    Args:
        folder: The cache's folder.
        dataset: The data set's name; None for all.

    Returns:
        The bytes that were removed, and the number of forms that stay as they are being made.

    Raises:
        OSError: A file can't be removed.
    """
    removed = staying = 0
    for place in dataset_folders(folder):
        for form in forms_in(place):
            kept = _kept_form(place, form)
            if dataset not in (None, kept.dataset):
                continue
            lock = try_lock(place / f"{form}.lock")
            if lock is None:
                staying += 1
                continue
            with lock:
                for file in files_of(place, form):
                    file.unlink(missing_ok=True)
            removed += kept.size
        with suppress(OSError):  # something else lies there
            place.rmdir()
    return removed, staying


def _kept_form(place: Path, form: str) -> KeptForm:
    size = sum(max(0, Stamp.of(file).size) for file in files_of(place, form))
    try:
        index = Index.read(place / f"{form}.index")
        if index is not None:
            index.check_segments(place)
    except (DamagedIndexError, OSError) as damage:
        return KeptForm("?", "", form, 0, size, str(damage))
    if index is None:
        return KeptForm("?", "", form, 0, size, "incomplete, or being made")
    images = sum(entry.height > 0 for entry in index.entries.values())
    return KeptForm(index.dataset, index.data_dir, form, images, size, "")
