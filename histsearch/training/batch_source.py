"""Where the batches of a run come from: from loader processes, or from images on its device.

Both give the same batches: those of training in the same order, with the same random numbers and
crops that differ by a level of 255 at most, those of an evaluation pixel for pixel.
"""

# N = batch size, H, W = image height and width, S = side of a crop, 3 = red, green, blue

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from histsearch.data.batches import EvaluationImages, TrainingImages, augmentation
from histsearch.data.device_images import DeviceImages
from histsearch.data.image_loader import ImageLoader
from histsearch.data.image_set import FormedImages, ImageSet
from histsearch.models.device_crop import DeviceCrop, PlacedBox
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.training_boxes import TrainingBoxes
from histsearch.models.transforms import EvaluationCrop

EVALUATION_BATCH = 128
"""Images that are embedded at once."""


def count_evaluation_batches(sets: Iterable[ImageSet]) -> int:
    """How many batches it takes to embed some sets of images."""
    return sum(math.ceil(len(images) / EVALUATION_BATCH) for images in sets)


TrainingKeys = Iterable[Sequence[tuple[int, int]]]
"""The (epoch, index) of each image of each batch."""

TrainingBatch = tuple[Tensor, Tensor, Tensor]
"""(N, S, S, 3) uint8 crops, (N,) which of them are to be mirrored, (N,) labels on the CPU."""


def _do_nothing() -> None:
    return None


class BatchSource(Protocol):
    """Where the batches of a run come from."""

    def training(self, keys: TrainingKeys) -> Iterator[TrainingBatch]:
        """The batches of these images."""
        ...

    def evaluation(self, images: ImageSet, every: int = 1) -> Iterator[Tensor]:
        """(N, S, S, 3) uint8 batches of the images as a network is shown them to embed.

        Args:
            images: The images.
            every: Which batches: each that comes so many after the one before.
        """
        ...


class EvaluationLoader:
    """Loads images as a network is shown them to embed.

    Args:
        preprocessing: The network's input.
        loader: Loads them.
        on_image: Called after each image that is decoded to be kept; what it raises ends the work.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        loader: ImageLoader,
        on_image: Callable[[], object] = _do_nothing,
    ) -> None:
        self._form = EvaluationCrop(preprocessing)
        self._loader = loader
        self._on_image = on_image
        # The same object for the same images, as the loader's processes hold it.
        self._shown: dict[ImageSet, EvaluationImages] = {}

    def add(self, images: ImageSet) -> FormedImages:
        """Have images at hand before their first batch is asked for."""
        if images not in self._shown:
            formed = images.formed(self._form, self._loader.processes, self._on_image)
            self._shown[images] = EvaluationImages(formed)
            self._loader.add(self._shown[images])
        return self._shown[images].images

    def batches(self, images: ImageSet, every: int = 1) -> Iterator[Tensor]:
        """Their batches; as `BatchSource.evaluation`."""
        self.add(images)
        shown = self._shown[images]
        keys = islice(shown.batches(EVALUATION_BATCH), 0, None, every)
        return self._loader.batches(shown, keys)


class LoadedBatches:
    """Batches that loader processes put together.

    Args:
        images: What is trained on.
        loader: Loads all batches.
        evaluation: Loads those of evaluations.
    """

    def __init__(
        self, images: TrainingImages, loader: ImageLoader, evaluation: EvaluationLoader
    ) -> None:
        self._images = images
        self._loader = loader
        self._evaluation = evaluation
        loader.add(images)

    def training(self, keys: TrainingKeys) -> Iterator[TrainingBatch]:
        """The batches of these images."""
        return self._loader.batches(self._images, keys)

    def evaluation(self, images: ImageSet, every: int = 1) -> Iterator[Tensor]:
        """(N, S, S, 3) uint8 batches of the images as a network is shown them to embed."""
        return self._evaluation.batches(images, every)


class DeviceBatches:
    """Batches that the device puts together from images that lie there.

    The host draws the boxes of crops, and waits for nothing.

    Args:
        images: What is trained on.
        preprocessing: The network's input.
        placed: The images to train on, on the device.
        evaluated: Those of evaluations; others are loaded.
        evaluation: Loads these.
    """

    def __init__(
        self,
        images: TrainingImages,
        preprocessing: Preprocessing,
        placed: DeviceImages,
        evaluated: Mapping[ImageSet, DeviceImages],
        evaluation: EvaluationLoader,
    ) -> None:
        self._images = images
        self._placed = placed
        self._boxes = TrainingBoxes(preprocessing)
        self._crop = DeviceCrop(preprocessing)
        self._evaluated = evaluated
        self._evaluation = evaluation

    def training(self, keys: TrainingKeys) -> Iterator[TrainingBatch]:
        """The batches of these images."""
        for batch in keys:
            boxes = [self._box(epoch, index) for epoch, index in batch]
            crops_NSS3 = self._crop(self._placed.pixels_P3, boxes)
            flipped_N = torch.tensor([one.box.flipped for one in boxes])
            labels_N = torch.from_numpy(self._images.labels_N[[index for _, index in batch]])
            yield crops_NSS3, self._pinned(flipped_N), self._pinned(labels_N)

    def evaluation(self, images: ImageSet, every: int = 1) -> Iterator[Tensor]:
        """(N, S, S, 3) uint8 batches of the images as a network is shown them to embed."""
        if images in self._evaluated:
            return islice(self._evaluated[images].batches(EVALUATION_BATCH), 0, None, every)
        return self._evaluation.batches(images, every)

    def _box(self, epoch: int, index: int) -> PlacedBox:
        height, width = self._placed.sizes[index]
        generator = augmentation(self._images.seed, epoch, index)
        box = self._boxes.draw(height, width, generator)
        return PlacedBox(self._placed.firsts[index], width, box)

    def _pinned(self, values_N: Tensor) -> Tensor:
        """Values that the device takes while the host goes on."""
        return values_N.pin_memory() if self._placed.pixels_P3.is_cuda else values_N
