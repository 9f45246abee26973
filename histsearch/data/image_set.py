"""A set of labelled images, on disk or in memory."""

# N = images, C = classes, H, W = image height and width

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from histsearch.data.file_system import check_plain
from histsearch.data.pixels import ToRGB, reference_rgb
from histsearch.exceptions import DataError

_NOT_THE_FILES_FAULT = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)

DECODED_CACHE_BYTES = 256 * 2**20
"""Most memory, per process, that the decoded images of one set of files may take."""


class UnreadableImageError(DataError):
    """An image file is missing, or holds no image that can be read.

    torch rebuilds what a loader process raised from the text of its traceback, which ends in the
    name of the class and the original message. Of such a text the message alone is kept.
    """

    def __init__(self, message: str) -> None:
        _, _, original = message.rpartition(f"{__name__}.{type(self).__name__}: ")
        super().__init__(original.rstrip("\n"))


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

    def __len__(self) -> int: ...

    def load(self, index: int) -> Image.Image:
        """Return image ``index`` in RGB mode, as an object of the caller's own."""
        ...

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these images alone, in this order."""
        ...


class ImageFiles:
    """Image files, decoded when they are asked for.

    A small set stays decoded in memory, which is what makes repeated epochs over it quick. Each
    image may take an equal share of `DECODED_CACHE_BYTES`; one larger than its share, as in any
    large set, is decoded anew every time.
    """

    def __init__(self, paths: Iterable[Path], to_rgb: ToRGB = reference_rgb) -> None:
        self._paths = tuple(paths)
        self._to_rgb = to_rgb
        self._decoded: dict[int, Image.Image] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in order."""
        return self._paths

    @property
    def to_rgb(self) -> ToRGB:
        """How an opened file becomes an image in RGB mode."""
        return self._to_rgb

    def __len__(self) -> int:
        return len(self._paths)

    def load(self, index: int) -> Image.Image:
        """Decode a file, or copy what an earlier call decoded.

        Raises:
            UnreadableImageError: If the file is missing or holds no image that can be read.
        """
        cached = self._decoded.get(index)
        if cached is not None:
            return cached.copy()
        image = decode(self._paths[index], self._to_rgb)
        if 3 * image.width * image.height <= DECODED_CACHE_BYTES // len(self):
            self._decoded[index] = image.copy()
        return image

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these files alone, in this order."""
        return type(self)((self._paths[i] for i in indices), self._to_rgb)


def decode(path: Path, to_rgb: ToRGB = reference_rgb) -> Image.Image:
    """Read an image file in RGB mode.

    Raises:
        UnreadableImageError: If the file is missing, is no plain file or holds no image that can be
            read.
        OSError: If this process may open no more files, or has no memory left.
    """
    try:
        check_plain(path)
        with Image.open(path) as image:
            return to_rgb(image)
    # Pillow reports damaged files with any of these, depending on the format.
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
            raise
        raise UnreadableImageError(
            f"The image {path} can't be read ({error}): replace it, remove it from the data set, "
            'or set on_bad_image = "skip" in the space.'
        ) from error


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

    def __len__(self) -> int:
        return len(self._pixels_NHW)

    def load(self, index: int) -> Image.Image:
        """Return one image in RGB mode."""
        return self.to_rgb(Image.fromarray(self._pixels_NHW[index]))

    def take(self, indices: npt.NDArray[np.int64]) -> Self:
        """Return a store of these images alone, in this order."""
        return type(self)(self._pixels_NHW[indices])


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
