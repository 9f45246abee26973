"""Small copies of the images that embeddings were made of, as far as they are at hand."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from histsearch.data.image_set import ImageSet
from histsearch.data.known_datasets import find_dataset
from histsearch.exceptions import HistsearchError
from histsearch.figures.retrieval_examples import Thumbnail
from histsearch.folders import path_below
from histsearch.studies.embeddings_file import EmbeddingsFile, LabelledImages

_MOST_PIXELS = 160


def thumbnails_of(found: EmbeddingsFile, data_dir: Path) -> Thumbnail:
    """Gives small copies of a file's test images.

    Images without a file, such as those of ``glyphs``, are drawn anew.

    Args:
        found: The embeddings.
        data_dir: The folder of the data sets.
    """
    has_files = any(found.queries.path_N)
    return partial(_thumbnail, data_dir, {} if has_files else _drawn(found, data_dir))


def _thumbnail(
    data_dir: Path, drawn: Mapping[int, ImageSet], images: LabelledImages, place: int
) -> Image.Image | None:
    if images.path_N[place]:
        return from_file(data_dir, images.path_N[place])
    return drawn[id(images)].image(place) if id(images) in drawn else None


def from_file(data_dir: Path, path: str) -> Image.Image | None:
    """A small copy of an image file; None where it isn't at hand.

    Args:
        data_dir: The folder of the data sets.
        path: The image's, relative to that; a file that came from elsewhere may hold any.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        return None
    try:
        with Image.open(path_below(data_dir, path)) as image:
            image.draft("RGB", (_MOST_PIXELS, _MOST_PIXELS))
            image.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
            return image.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _drawn(found: EmbeddingsFile, data_dir: Path) -> dict[int, ImageSet]:
    """The images of a data set that keeps them in memory, by what describes their embeddings."""
    try:
        halves = find_dataset(found.dataset).read(data_dir)
    except (HistsearchError, OSError):
        return {}
    pairs = [(found.queries, halves.test), (found.gallery, halves.gallery)]
    return {
        id(images): of_set
        for images, of_set in pairs
        if images is not None and of_set is not None and _are_same(images, of_set)
    }


def _are_same(images: LabelledImages, of_set: ImageSet) -> bool:
    return not of_set.paths and np.array_equal(images.label_N, of_set.labels_N)
