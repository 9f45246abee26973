"""What an image cache holds, for people: to be listed, checked and removed."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from histsearch.data.cache_files import (
    dataset_folders,
    files_of,
    forms_in,
    slug_in,
    slug_of,
    try_lock,
)
from histsearch.data.cache_index import DamagedIndexError, Index, Stamp
from histsearch.exceptions import DataError


class KeptForm(NamedTuple):
    """What is kept of a data set in one form, for people.

    Attributes:
        dataset: The data set's name; where no index tells it, that name as it stands in the name of
            its folder, such as "folder-birds" for "folder:birds".
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
        dataset: The data set's name, or what `kept_forms` gives as that; None for all.

    Returns:
        The bytes that were removed, and the number of forms that stay as they are being made.

    Raises:
        DataError: Nothing is kept of that data set.
        OSError: A file can't be removed.
    """
    if dataset is not None:
        _check_known(folder, dataset)
    removed = staying = 0
    for place in dataset_folders(folder):
        for form in forms_in(place):
            kept = _kept_form(place, form)
            if dataset is not None and not _is_of(kept, dataset):
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


def _check_known(folder: Path, dataset: str) -> None:
    kept = kept_forms(folder)
    if any(_is_of(one, dataset) for one in kept):
        return
    names = ", ".join(sorted({one.dataset for one in kept})) or "none"
    raise DataError(
        f'found no decoded images of "{dataset}" in {folder}, kept are those of: {names}'
    )


def _is_of(kept: KeptForm, dataset: str) -> bool:
    """Whether a form is of a data set; one that is damaged may be of any that its folder fits."""
    return kept.dataset in (dataset, slug_of(dataset) if kept.fault else dataset)


def _kept_form(place: Path, form: str) -> KeptForm:
    size = sum(max(0, Stamp.of(file).size) for file in files_of(place, form))
    try:
        index = Index.read(place / f"{form}.index")
        if index is not None:
            index.check_segments(place)
    except (DamagedIndexError, OSError) as damage:
        return KeptForm(slug_in(place), "", form, 0, size, str(damage))
    if index is None:
        return KeptForm(slug_in(place), "", form, 0, size, "incomplete, or being made")
    images = sum(entry.height > 0 for entry in index.entries.values())
    return KeptForm(index.dataset, index.data_dir, form, images, size, "")
