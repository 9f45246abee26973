"""A few decoded images in the place of all of a set: to time a run before any are kept decoded."""

# N = images, S = images of the sample, H, W = image height and width, 3 = red, green, blue

from collections.abc import Callable, Hashable, Sequence
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from histsearch.data.cache_files import NotKeptError
from histsearch.data.decoding import UnreadableImageError
from histsearch.data.image_cache import DatasetCache
from histsearch.data.image_forms import ImageForm
from histsearch.data.image_set import ImageSet

_MOST_IMAGES = 128
_MOST_BYTES = 2**28


def as_workers_find(images: ImageSet, form: ImageForm, cache: DatasetCache) -> ImageSet:
    """The images as quick to get at as they are for workers, though nothing is kept.

    Where the cache holds all of them, they are read from it. Where workers will keep them there, a
    sample is decoded into memory and takes the place of all. Else they are files to be decoded.

    Args:
        images: The images.
        form: The form that a run asks for.
        cache: The workers' cache, which is left as it is.

    Raises:
        UnreadableImageError: No image of the sample can be read.
    """
    try:
        stale = cache.stale(images.paths, images.to_rgb, form)
    except NotKeptError:
        return images
    if not stale:
        return images.with_cache(cache)
    if not cache.will_keep(stale, images.to_rgb, form):
        return images
    return ImageSet(DecodedSample(images, form), images.labels_N, images.class_names)


class DecodedSample:
    """Images of a set, spread evenly over it, that stand for all its others in turn.

    Args:
        images: The set.
        form: The form that they are decoded to.

    Raises:
        UnreadableImageError: None of them can be read.
    """

    def __init__(self, images: ImageSet, form: ImageForm) -> None:
        self.to_rgb = images.to_rgb
        self._paths = images.paths
        self._form = form
        self._decoded_S = _decoded(images, form)
        self._place_N = np.arange(len(images)) % len(self._decoded_S)

    @property
    def paths(self) -> tuple[Path, ...]:
        """None, as nothing is left to be decoded."""
        return ()

    @property
    def key(self) -> Hashable:
        """The files it stands for, and that it does."""
        return type(self), self._paths, self.to_rgb, self._form.name, self._place_N.tobytes()

    def __len__(self) -> int:
        return len(self._place_N)

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """The (H, W, 3) pixels of the image that stands for image ``index``."""
        return self._decoded_S[int(self._place_N[index])]

    def load(self, index: int) -> Image.Image:
        """Return the same in RGB mode."""
        return Image.fromarray(self.pixels(index))

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of the same."""
        height, width, _ = self.pixels(index).shape
        return width, height

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these images alone, in this order."""
        taken = copy(self)
        taken._place_N = self._place_N[indices]
        return taken

    def with_cache(self, cache: DatasetCache | None) -> Self:  # noqa: ARG002 - nothing to decode
        """Return this store."""
        return self

    def kept(
        self,
        form: ImageForm,
        processes: int,  # noqa: ARG002
        on_image: Callable[[], object],  # noqa: ARG002
    ) -> Self | None:
        """The images themselves, if they are of that form."""
        return self if form.name == self._form.name else None


def _decoded(images: ImageSet, form: ImageForm) -> Sequence[npt.NDArray[np.uint8]]:
    """The pixels of some images that can be read."""
    decoded: list[npt.NDArray[np.uint8]] = []
    fault: UnreadableImageError | None = None
    for index in np.linspace(0, len(images) - 1, min(_MOST_IMAGES, len(images)), dtype=int):
        try:
            decoded.append(np.array(form(images.image(int(index)))))
        except UnreadableImageError as error:
            fault = error
        if sum(one.nbytes for one in decoded) > _MOST_BYTES:
            break
    if fault is not None and not decoded:
        raise fault
    return decoded
