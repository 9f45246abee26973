"""Decoded images on disk: made once, read by all processes of a machine through its page cache.

What is kept of a data set in one form (`ImageForm`) is an index and files of pixels beside it, the
segments. A segment is written once and never changed; the index is replaced by renaming when a
segment is complete on the disk. So a reader sees all of it or none, whenever a builder is killed.
Files that weren't kept yet, or were written anew since, get a segment of their own.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL
from PIL import features

from histsearch.data.cache_files import NotKeptError, dataset_folder
from histsearch.data.cache_index import Index
from histsearch.data.cache_store import Store
from histsearch.data.image_forms import ImageForm
from histsearch.data.kept_images import KeptImages
from histsearch.data.pixels import ToRGB, reference_rgb, rgb_as_shown

log = logging.getLogger(__name__)

USUAL_MOST_BYTES = 20 * 10**9
"""Most room that decoded images may take together, unless another limit is named."""

_LAYOUT = 1
"""Number of how index and segments are laid out, and of how histsearch reads and forms images."""

_READINGS = {reference_rgb: "reference", rgb_as_shown: "as shown"}


@dataclass(frozen=True)
class ImageCache:
    """Where decoded images are kept, and how much room they may take.

    Attributes:
        folder: The folder.
        most_bytes: Bytes that they may take together; with 0 none are kept.
    """

    folder: Path
    most_bytes: int = USUAL_MOST_BYTES

    def of(self, dataset: str, data_dir: Path) -> "DatasetCache":
        """The part of it that belongs to the data set of that name in a folder of data sets."""
        return DatasetCache(self, dataset, data_dir)


class DatasetCache:
    """Decoded images of one data set.

    Args:
        cache: Where they are kept.
        dataset: The data set's name.
        data_dir: The folder of data sets that it is read from.
    """

    def __init__(self, cache: ImageCache, dataset: str, data_dir: Path) -> None:
        self._cache = cache
        self._dataset = dataset
        self._data_dir = str(data_dir.resolve())
        self._without: set[str] = set()

    def stale(self, paths: Sequence[Path], to_rgb: ToRGB, form: ImageForm) -> list[Path]:
        """The files whose images `keep` would decode.

        Raises:
            NotKeptError: They can't be kept.
        """
        return self._store(to_rgb, form).read().stale(paths)

    def will_keep(self, paths: Sequence[Path], to_rgb: ToRGB, form: ImageForm) -> bool:
        """Whether `keep_if_possible` would decode and keep the images of these files."""
        if not self._cache.most_bytes:
            return False
        try:
            self._store(to_rgb, form).check_room(paths)
        except NotKeptError:
            return False
        return True

    def keep(
        self,
        paths: Sequence[Path],
        to_rgb: ToRGB,
        form: ImageForm,
        processes: int,
        on_image: Callable[[], object],
    ) -> KeptImages:
        """The images of these files, decoded and kept first where they aren't.

        Another process that is keeping them is waited for.

        Args:
            paths: The image files.
            to_rgb: How an opened file becomes an image in RGB mode.
            form: The form to keep the images in.
            processes: Processes that decode; with 0 or 1 this one does.
            on_image: Called after each image that was decoded, and now and then while another
                process is at work; what it raises ends the work.

        Returns:
            The images, in order.

        Raises:
            NotKeptError: They can't be kept.
            OSError: This process may open no more files, or has no memory left.
        """
        store = self._store(to_rgb, form)
        return store.find(paths) or store.add(paths, processes, on_image)

    def keep_if_possible(
        self,
        paths: Sequence[Path],
        to_rgb: ToRGB,
        form: ImageForm,
        processes: int,
        on_image: Callable[[], object],
    ) -> KeptImages | None:
        """The same; None where they can't be kept, which is logged in one line and for good."""
        if not paths or not self._cache.most_bytes or form.name in self._without:
            return None
        try:
            return self.keep(paths, to_rgb, form, processes, on_image)
        except NotKeptError as reason:
            log.warning(
                "%s: its decoded images (%s) aren't kept, so each is decoded whenever it is "
                "needed: %s",
                self._dataset,
                form.name,
                reason,
            )
            self._without.add(form.name)
            return None

    def _store(self, to_rgb: ToRGB, form: ImageForm) -> Store:
        if to_rgb not in _READINGS:
            raise NotKeptError("another package says what its pixels mean, and may change its mind")
        made_by = (
            _LAYOUT,
            self._dataset,
            self._data_dir,
            _READINGS[to_rgb],
            PIL.__version__,
            features.version("libjpeg_turbo"),
        )
        digest = hashlib.sha256(repr(made_by).encode("utf-8", "surrogateescape")).hexdigest()
        folder = dataset_folder(self._cache.folder, self._dataset, digest)
        empty = Index(self._dataset, self._data_dir)
        return Store(folder, self._cache.most_bytes, empty, to_rgb, form)
