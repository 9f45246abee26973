"""A set of labelled images, on disk or in memory."""

# N = images, C = classes, H, W = image height and width, 3 = red, green, blue

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from histsearch.data.decoding import decode, size_of
from histsearch.data.image_cache import DatasetCache
from histsearch.data.image_forms import ImageForm
from histsearch.data.kept_images import KeptImages
from histsearch.data.pixels import ToRGB, reference_rgb


def _do_nothing() -> None:
    return None


class ReadyPixels(Protocol):
    """Images in one form that needn't be decoded any more."""

    def pixels(self, index: int) -> npt.NDArray[np.uint8] | None:
        """The (H, W, 3) pixels of an image; None where they aren't there."""
        ...

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height of an image; None where its pixels aren't there."""
        ...


class ImageStore(Protocol):
    """Where the images of a set come from."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the images, in order; none of images that lie in memory."""
        ...

    @property
    def to_rgb(self) -> ToRGB:
        """How an opened file becomes an image in RGB mode."""
        ...

    @property
    def key(self) -> Hashable:
        """The same for the same images, read again or not."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Image.Image:
        """Return image ``index`` in RGB mode, as an object of the caller's own."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image ``index``, which isn't decoded for that."""
        ...

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these images alone, in this order."""
        ...

    def with_cache(self, cache: DatasetCache | None) -> Self:
        """Return a store of the same images, which may be kept decoded; None: which aren't."""
        ...

    def kept(
        self, form: ImageForm, processes: int, on_image: Callable[[], object]
    ) -> ReadyPixels | None:
        """The images of a form that are kept decoded; None where none are."""
        ...


class ImageFiles:
    """Image files, decoded when they are asked for, unless a cache keeps them."""

    def __init__(
        self,
        paths: Iterable[Path],
        to_rgb: ToRGB = reference_rgb,
        cache: DatasetCache | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._to_rgb = to_rgb
        self._cache = cache
        self._kept: dict[str, KeptImages | None] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in order."""
        return self._paths

    @property
    def to_rgb(self) -> ToRGB:
        """How an opened file becomes an image in RGB mode."""
        return self._to_rgb

    @property
    def key(self) -> Hashable:
        """The files, and how they are read."""
        return self._paths, self._to_rgb

    def __len__(self) -> int:
        return len(self._paths)

    def load(self, index: int) -> Image.Image:
        """Decode a file.

        Raises:
            UnreadableImageError: If the file is missing or holds no image that can be read.
        """
        return decode(self._paths[index], self._to_rgb)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height that a file says it has; raises as `load` does."""
        return size_of(self._paths[index])

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these files alone, in this order."""
        return type(self)((self._paths[i] for i in indices), self._to_rgb, self._cache)

    def with_cache(self, cache: DatasetCache | None) -> Self:
        """Return a store of the same files, which may be kept decoded; None: which aren't."""
        return type(self)(self._paths, self._to_rgb, cache)

    def kept(
        self, form: ImageForm, processes: int, on_image: Callable[[], object]
    ) -> KeptImages | None:
        """What a cache keeps of these files, looked for once; None without one."""
        if self._cache is None:
            return None
        if form.name not in self._kept:
            self._kept[form.name] = self._cache.keep_if_possible(
                self._paths, self._to_rgb, form, processes, on_image
            )
        return self._kept[form.name]


class ImageArrays:
    """Grey images held in memory as one (N, H, W) uint8 array."""

    def __init__(self, pixels_NHW: npt.NDArray[np.uint8]) -> None:
        self._pixels_NHW = pixels_NHW

    @property
    def paths(self) -> tuple[Path, ...]:
        """No file."""
        return ()

    @property
    def to_rgb(self) -> ToRGB:
        """Pillow's own conversion."""
        return reference_rgb

    @cached_property
    def key(self) -> Hashable:
        """A digest of the images."""
        digest = hashlib.sha256(np.ascontiguousarray(self._pixels_NHW).data)
        return self._pixels_NHW.shape, digest.digest()

    def __len__(self) -> int:
        return len(self._pixels_NHW)

    def load(self, index: int) -> Image.Image:
        """Return one image in RGB mode."""
        return self.to_rgb(Image.fromarray(self._pixels_NHW[index]))

    def size(self, index: int) -> tuple[int, int]:  # noqa: ARG002 - all are alike
        """Width and height of one image."""
        _, height, width = self._pixels_NHW.shape
        return width, height

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these images alone, in this order."""
        return type(self)(self._pixels_NHW[indices])

    def with_cache(self, cache: DatasetCache | None) -> Self:  # noqa: ARG002 - nothing to decode
        """Return this store: its images are no files."""
        return self

    def kept(
        self,
        form: ImageForm,  # noqa: ARG002
        processes: int,  # noqa: ARG002
        on_image: Callable[[], object],  # noqa: ARG002
    ) -> None:
        """Nothing, as they are no files."""
        return


class FormedImages:
    """The images of a set in one form, taken from a cache or made anew each time.

    Both ways give the same pixels. They can be handed to another process.

    Attributes:
        are_decoded: Whether they lie in a cache or in memory, not in files to be decoded.
    """

    def __init__(self, images: ImageStore, form: ImageForm, kept: ReadyPixels | None) -> None:
        self._images = images
        self._form = form
        self._kept = kept
        self.are_decoded = kept is not None or not images.paths

    def __len__(self) -> int:
        return len(self._images)

    @property
    def key(self) -> Hashable:
        """The same for the same images in the same form."""
        return self._images.key, self._form.name

    def num_pixels(self, on_image: Callable[[], object] = _do_nothing) -> int:
        """Pixels of all images together, by what files say where no cache knows.

        Args:
            on_image: Called after each image; what it raises ends the work.

        Raises:
            UnreadableImageError: If a file can't be read.
        """
        number = 0
        for index in range(len(self)):
            number += self._num_pixels(index)
            on_image()
        return number

    def _num_pixels(self, index: int) -> int:
        kept = None if self._kept is None else self._kept.size(index)
        return math.prod(kept or self._form.size(*self._images.size(index)))

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """The (H, W, 3) pixels of an image, which may not be written to.

        Raises:
            UnreadableImageError: If its file can't be read.
        """
        kept_HW3 = None if self._kept is None else self._kept.pixels(index)
        if kept_HW3 is not None:
            return kept_HW3
        return np.asarray(self._form(self._images.load(index)))


class ImageSet:
    """Labelled images.

    Attributes:
        labels_N: (N,) int64, the class of each image, in 0..C-1.
        class_names: One name a class; a class may have no image in this set.
    """

    def __init__(
        self, images: ImageStore, labels_N: npt.ArrayLike, class_names: Iterable[str]
    ) -> None:
        """Check that images, labels and class names belong together.

        Raises:
            ValueError: If there isn't one label an image, or a label has no class name.
        """
        self._images = images
        self.labels_N: npt.NDArray[np.int64] = np.asarray(labels_N, dtype=np.int64)
        self.class_names = tuple(class_names)
        if self.labels_N.shape != (len(images),):
            raise ValueError(f"{len(images)} images got labels of shape {self.labels_N.shape}")
        if np.any((self.labels_N < 0) | (self.labels_N >= self.num_classes)):
            raise ValueError(f"labels must lie in 0..{self.num_classes - 1}")

    @classmethod
    def from_files(
        cls,
        files: Sequence[tuple[Path, str]],
        class_names: Iterable[str] | None = None,
        *,
        to_rgb: ToRGB = reference_rgb,
    ) -> Self:
        """Build a set from image files.

        Args:
            files: Path and class name of each image.
            class_names: The classes in the order of their labels; by default those that occur
                in ``files``, sorted.
            to_rgb: How an opened file becomes an image in RGB mode.

        Raises:
            ValueError: If a file's class isn't among ``class_names``.
        """
        names = sorted({name for _, name in files}) if class_names is None else list(class_names)
        label_of = {name: label for label, name in enumerate(names)}
        if unknown := {name for _, name in files} - label_of.keys():
            raise ValueError(f"the classes {sorted(unknown)} have no label")
        labels_N = [label_of[name] for _, name in files]
        return cls(ImageFiles((path for path, _ in files), to_rgb), labels_N, names)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the images, in order; none of images that lie in memory."""
        return self._images.paths

    @property
    def to_rgb(self) -> ToRGB:
        """How an opened file becomes an image in RGB mode."""
        return self._images.to_rgb

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return one image in RGB mode.

        Raises:
            UnreadableImageError: If its file can't be read.
        """
        return self._images.load(index)

    def formed(
        self,
        form: ImageForm,
        processes: int = 0,
        on_image: Callable[[], object] = _do_nothing,
    ) -> FormedImages:
        """Return the images in a form, kept decoded where the set has a cache.

        Args:
            form: The form.
            processes: Processes that decode those that aren't kept yet; with 0 or 1 this one does.
            on_image: Called after each of these; what it raises ends the work.
        """
        return FormedImages(self._images, form, self._images.kept(form, processes, on_image))

    def with_cache(self, cache: DatasetCache | None) -> Self:
        """Return the same images, which may be kept decoded; None: which aren't."""
        return type(self)(self._images.with_cache(cache), self.labels_N, self.class_names)

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return these images alone, in this order; no class is relabelled or dropped."""
        return type(self)(self._images.take(indices), self.labels_N[indices], self.class_names)

    def of_classes(self, classes: Sequence[int]) -> Self:
        """Return the images of these classes alone, in their present order.

        Args:
            classes: Distinct labels; the j-th becomes label j of the new set.

        Raises:
            ValueError: If a label is listed twice or doesn't exist.
        """
        if len(set(classes)) != len(classes) or not set(classes) <= set(range(self.num_classes)):
            raise ValueError(f"classes must be distinct labels in 0..{self.num_classes - 1}")
        new_label_C = np.full(self.num_classes, -1, dtype=np.int64)
        new_label_C[list(classes)] = np.arange(len(classes))
        new_labels_N = new_label_C[self.labels_N]
        kept = np.flatnonzero(new_labels_N >= 0)
        return type(self)(
            self._images.take(kept), new_labels_N[kept], (self.class_names[c] for c in classes)
        )
