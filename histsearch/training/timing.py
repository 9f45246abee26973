"""What a run costs on this device, by a few of its batches and part of an evaluation."""

import gc
import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from typing_extensions import override

from histsearch.data.decoded_sample import as_workers_find
from histsearch.data.image_cache import DatasetCache
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.models.digest import save_with_digest
from histsearch.models.initial_weights import RANDOM_WEIGHTS
from histsearch.models.transforms import EvaluationCrop
from histsearch.retrieval.measurement import measure
from histsearch.training.batch_source import EVALUATION_BATCH
from histsearch.training.evaluation import embed_images
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.trainer import RunSettings, Trainer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# The first batches find a cold device, and loader processes that have run two batches ahead.
_UNTIMED_BATCHES = 2
_BATCHES_AHEAD = 2

_FEWEST_BATCHES = 5
_FEWEST_PASSES = 2
_ENOUGH_SECONDS = 3.0
_MOST_SECONDS = 30.0
_MOST_RANKED = 512
_KIB = 2**10


class RunImages(NamedTuple):
    """The images of a run.

    Attributes:
        training: Those it trains on.
        validation: Those it is scored on after each epoch.
        gallery: Those that these are ranked against; None for one another.
        cache: Where workers keep decoded images; None for nowhere.
    """

    training: ImageSet
    validation: ImageSet
    gallery: ImageSet | None = None
    cache: DatasetCache | None = None


@dataclass(frozen=True)
class RunCosts:
    """What a run costs.

    Attributes:
        training_seconds: Of the training batches of an epoch.
        evaluation_seconds: Of an evaluation.
        peak_memory_bytes: The most that torch has reserved on the GPU; without one, of the
            process's resident memory so far.
        state_bytes: Of a saved state.
    """

    training_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: int
    state_bytes: int

    @property
    def epoch_seconds(self) -> float:
        """Seconds of an epoch, its evaluation included."""
        return self.training_seconds + self.evaluation_seconds


def time_run(
    settings: RunSettings, images: RunImages, on_device: ImagesOnDevice, *, loader_processes: int
) -> RunCosts:
    """Train some batches and evaluate some images as a run does after its warm-up; time both.

    Nothing is kept but images on the device, no decoded one on a disk. The network starts from
    random weights and stands still, with a learning rate of 0, so that no value of the space makes
    it diverge.

    Raises:
        SpaceError: There are too few images, or classes, for a batch.
        NonFiniteLossError: A loss or a weight became NaN or infinite.
        UnreadableImageError: An image can't be read.
        RuntimeError: There is too little memory, among others.
    """
    device = on_device.device
    _release_memory(device)
    values = settings.configuration.training.model_copy(update={"warmup_epochs": 0, "lr": 0.0})
    images = _as_found(images, settings)
    trainer = Trainer(
        replace(
            settings,
            weights=RANDOM_WEIGHTS,
            configuration=replace(settings.configuration, training=values),
        ),
        images.training,
        device=device,
        loader_processes=loader_processes,
        on_device=on_device,
    )
    trainer.place_images(images.validation, images.gallery)
    stopwatch = Stopwatch(device, _UNTIMED_BATCHES + _BATCHES_AHEAD * loader_processes)
    for _ in trainer.steps():
        if stopwatch():
            break
    batches = len(images.training) // values.batch_size
    return RunCosts(
        training_seconds=stopwatch.seconds_a_step * batches,
        evaluation_seconds=_evaluation_seconds(trainer, images, loader_processes),
        peak_memory_bytes=_peak_memory_bytes(device),
        state_bytes=_state_bytes(trainer),
    )


class Stopwatch:
    """Times steps until it has seen enough of them.

    Args:
        device: What the steps compute on.
        untimed: How many steps come before.

    Attributes:
        seconds_a_step: Mean seconds of a step, once there were enough.
    """

    def __init__(self, device: torch.device, untimed: int) -> None:
        self._device = device
        self._untimed = untimed
        self._started: float | None = None
        self._steps = 0
        self.seconds_a_step = 0.0

    def __call__(self) -> bool:
        """Whether enough steps were timed; asked as each begins."""
        if self._untimed > 0:
            self._untimed -= 1
            return False
        if self._started is None:
            self._started = _now(self._device)
            return False
        self._steps += 1
        passed = time.perf_counter() - self._started
        if passed < _MOST_SECONDS and (passed < _ENOUGH_SECONDS or self._steps < _FEWEST_BATCHES):
            return False
        self.seconds_a_step = (_now(self._device) - self._started) / self._steps
        return True


def _evaluation_seconds(trainer: Trainer, images: RunImages, loader_processes: int) -> float:
    """Embed some of the images and rank some of the queries, and scale both to all of them."""
    every = math.ceil(len(images.validation) / (EVALUATION_BATCH * max(1, loader_processes)))
    embed = partial(
        embed_images,
        trainer.network,
        images.validation,
        None,
        trainer.preprocessing,
        device=trainer.device,
        batches=partial(trainer.evaluation_batches, every=every),
    )
    embedded = len(embed().query_ND)
    number = len(images.validation) + (0 if images.gallery is None else len(images.gallery))
    seconds_an_image = _seconds(embed, trainer.device) / embedded
    return number * seconds_an_image + _ranking_seconds(trainer, images)


def _ranking_seconds(trainer: Trainer, images: RunImages) -> float:
    """Rank images by random embeddings, which takes as long as by any others."""
    settings, device = trainer.settings, trainer.device
    size = settings.configuration.training.embedding_size
    ranked = images.validation if images.gallery is None else images.gallery
    queries = _spread(len(images.validation), _MOST_RANKED)
    rank = partial(
        measure,
        [settings.objective],
        torch.randn(len(queries), size, device=device),
        torch.as_tensor(images.validation.labels_N[queries], device=device),
        gallery_MD=torch.randn(len(ranked), size, device=device),
        gallery_labels_M=torch.as_tensor(ranked.labels_N, device=device),
    )
    return _seconds(rank, device) * len(images.validation) / len(queries)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that work takes which has been done before."""
    work()
    started, passes = _now(device), 0
    while passes < _FEWEST_PASSES and _now(device) - started < _MOST_SECONDS:
        work()
        passes += 1
    return (_now(device) - started) / passes


def _as_found(images: RunImages, settings: RunSettings) -> RunImages:
    """The images of a run as quick to get at as they are for workers."""
    cache = images.cache
    if cache is None:
        return images
    whole, crop = WholeImages(settings.image_size_cap), EvaluationCrop(settings.preprocessing)
    return RunImages(
        as_workers_find(images.training, whole, cache),
        as_workers_find(images.validation, crop, cache),
        None if images.gallery is None else as_workers_find(images.gallery, crop, cache),
    )


def _spread(number: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many indices of a number of things, spread evenly."""
    return np.linspace(0, number - 1, min(most, number)).astype(np.int64)


def _now(device: torch.device) -> float:
    """The clock once the device has done what is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _release_memory(device: torch.device) -> None:
    """Give back what an earlier run has held, and begin to look for the peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def _state_bytes(trainer: Trainer) -> int:
    count = _ByteCount()
    save_with_digest({"trainer": trainer.state_dict(), "epochs": []}, count)
    return count.size


class _ByteCount(BytesIO):
    """A file that is written to and keeps nothing but its size."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    @override
    def write(self, data: "ReadableBuffer") -> int:
        written = memoryview(data).nbytes
        self.size += written
        return written
