"""Batches of training images, and the images of an evaluation in order.

Nothing here keeps a state between epochs: the order of an epoch follows from (seed, epoch), the
augmentation of an image from (seed, epoch, index). A run is therefore the same with any number of
loader processes, and a resumed run needs no loader state.
"""

# N = images, C = classes, H, W = image height and width, 3 = red, green, blue

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from histsearch.data.image_set import FormedImages
from histsearch.exceptions import SpaceError
from histsearch.wording import counted

Crop = Callable[[npt.NDArray[np.uint8], torch.Generator], tuple[Tensor, bool]]
"""From (H, W, 3) pixels, left as they are, to a crop and whether that is to be mirrored."""


def augmentation(seed: int, epoch: int, index: int) -> torch.Generator:
    """The random numbers of an image in an epoch of a run."""
    # torch's CPU generator takes in no more than 32 bits of a seed.
    words = np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(words[0]))


class TrainingImages(Dataset[tuple[Tensor, bool, int]]):
    """Augmented images, addressed by (epoch, index).

    Args:
        images: The images to augment.
        labels_N: (N,) the class of each.
        crop: Cuts an image's crop, with the random numbers that it is given.
        seed: Seed of the run, 0 or above.

    Attributes:
        images: The images to augment.
        labels_N: (N,) the class of each.
        seed: Seed of the run.
    """

    def __init__(
        self,
        images: FormedImages,
        labels_N: npt.NDArray[np.int64],
        crop: Crop,
        seed: int,
    ) -> None:
        self.images = images
        self.labels_N = labels_N
        self.seed = seed
        self._crop = crop

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, bool, int]:
        """Return the crop of this epoch, whether it is to be mirrored, and the image's label.

        Raises:
            UnreadableImageError: If the image can't be read.
        """
        epoch, index = key
        crop = self._crop(self.images[index], augmentation(self.seed, epoch, index))
        return *crop, int(self.labels_N[index])


class EvaluationImages(Dataset[Tensor]):
    """Images as they are, addressed by index.

    Attributes:
        images: The images.
    """

    def __init__(self, images: FormedImages) -> None:
        self.images = images

    def batches(self, size: int) -> Iterator[list[int]]:
        """All indices in order, in batches of which the last may be smaller."""
        for start in range(0, len(self), size):
            yield list(range(start, min(start + size, len(self))))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Return the (H, W, 3) uint8 pixels of an image.

        Raises:
            UnreadableImageError: If the image can't be read.
        """
        return torch.from_numpy(self.images[index].copy())


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), the keys of `TrainingImages`.

    An epoch is ``N // batch_size`` batches, balanced or not. Without balancing they are the
    shuffled images, the last incomplete batch dropped. With it every batch draws its classes anew,
    so some images come twice in an epoch and some not at all.
    """

    def __init__(
        self,
        labels_N: npt.NDArray[np.int64],
        batch_size: int,
        *,
        seed: int,
        images_per_class: int = 0,
    ) -> None:
        """Start at epoch 0.

        Args:
            labels_N: (N,) class of each image.
            batch_size: Images in every batch.
            seed: Seed of the run, 0 or above.
            images_per_class: With a positive number, each batch holds this many images of each of
                ``batch_size / images_per_class`` distinct classes. A class with fewer images
                repeats them, each as often as the others or once more.

        Raises:
            ValueError: If ``batch_size`` is no multiple of a positive ``images_per_class``.
            SpaceError: If there are too few images, or too few classes, for one batch.
        """
        if images_per_class and batch_size % images_per_class:
            raise ValueError(
                f"batch_size {batch_size} must be a multiple of images_per_class {images_per_class}"
            )
        if batch_size > len(labels_N):
            raise SpaceError(
                f"A batch of {batch_size} images can't be filled from "
                f"{counted(len(labels_N), 'training image')}: lower batch_size or add images."
            )
        self._num_images = len(labels_N)
        self._batch_size = batch_size
        self._images_per_class = images_per_class
        self._seed = seed
        self._epoch = 0
        self._first_batch = 0
        self._members = _members_of_classes(labels_N)
        if images_per_class and batch_size // images_per_class > len(self._members):
            raise SpaceError(
                f"A batch of {batch_size} images with {images_per_class} a class needs "
                f"{counted(batch_size // images_per_class, 'class')}, but there are "
                f"{len(self._members)}: "
                "lower batch_size or raise images_per_class."
            )

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Choose the epoch that the next iteration yields, without the batches before the first."""
        self._epoch = epoch
        self._first_batch = first_batch

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._num_images // self._batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        batches = self._balanced(rng) if self._images_per_class else self._shuffled(rng)
        # Those passed over are drawn all the same: the draws of the later ones depend on them.
        for indices in islice(batches, self._first_batch, None):
            yield [(self._epoch, index) for index in indices.tolist()]

    def _shuffled(self, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
        order = rng.permutation(self._num_images)
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            yield order[start : start + self._batch_size]

    def _balanced(self, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
        classes_per_batch = self._batch_size // self._images_per_class
        for _ in range(len(self)):
            classes = rng.choice(len(self._members), classes_per_batch, replace=False)
            # np.resize repeats a permutation that is too short from its start.
            yield np.concatenate(
                [
                    np.resize(rng.permutation(self._members[c]), self._images_per_class)
                    for c in classes
                ]
            )


def _members_of_classes(labels_N: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return the indices of the images of each class that has any."""
    _, sizes = np.unique(labels_N, return_counts=True)
    return np.split(np.argsort(labels_N, kind="stable"), np.cumsum(sizes)[:-1])
