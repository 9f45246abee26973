"""The run of `benchmarks.gpu` that a section is part of: its device, its time, its images."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.gpu_sections.photographs import photographs
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_set import ImageSet
from histsearch.losses.known_losses import find_loss
from histsearch.losses.loss_record import LossParameters
from histsearch.models.known_backbones import find_backbone
from histsearch.retrieval.known_metrics import USUAL_OBJECTIVE
from histsearch.space.known_parameters import known_parameters
from histsearch.training.trainer import RunSettings

Row = Mapping[str, object]
"""A line of a section's table, by column."""


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        backbone: Of the network.
        batches: Batch sizes of steps; the last is that of other sections.
        classes: Of the training images, and as many others to embed.
        images_per_class: Photographs of each.
        photograph: Their width and height.
        embeddings: Images and classes of each set of embeddings that is ranked and clustered.
        steps: Timed steps.
        pipeline_seconds: Time that images are prepared for at least.
        epochs: Of a whole trial.
        loaders: Numbers of loader processes.
        slots: Numbers of processes side by side.
        slot_seconds: Time that these are measured for.
    """

    backbone: str
    batches: tuple[int, ...]
    classes: int
    images_per_class: int
    photograph: tuple[int, int]
    embeddings: tuple[tuple[int, int], ...]
    steps: int
    pipeline_seconds: float
    epochs: int
    loaders: tuple[int, ...]
    slots: tuple[int, ...]
    slot_seconds: float


WHOLE = Scale(
    backbone="resnet50",
    batches=(8, 16, 32),
    classes=50,
    images_per_class=20,
    photograph=(500, 375),
    embeddings=((5_924, 100), (60_502, 11_316)),
    steps=15,
    pipeline_seconds=1.0,
    epochs=3,
    loaders=(1, 8),
    slots=(1, 2, 4),
    slot_seconds=8.0,
)
"""ResNet-50 on photographs of CUB-200-2011's size; its test half and that of SOP are ranked."""

TINY = Scale(
    backbone="conv4",
    batches=(4, 8),
    classes=6,
    images_per_class=8,
    photograph=(60, 45),
    embeddings=((300, 20),),
    steps=2,
    pipeline_seconds=0.1,
    epochs=1,
    loaders=(1,),
    slots=(1, 2),
    slot_seconds=0.5,
)
"""A rehearsal, whose figures mean nothing."""

EMBEDDING_SIZE = 512


@dataclass
class Session:
    """One run of the benchmark.

    Attributes:
        device: What is measured.
        scale: How much of it.
        folder: Holds the photographs, decoded images and checkpoints.
        deadline: When the section under way has to be done, by `time.monotonic`.
        left_out: Lines that there was no time for, in this section.
    """

    device: torch.device
    scale: Scale
    folder: Path
    deadline: float = field(default_factory=lambda: time.monotonic() + 600)
    left_out: int = 0

    def has_time_for(self, seconds: float) -> bool:
        """Whether a measurement may begin that takes so long; a line is left out otherwise."""
        fits = time.monotonic() + seconds < self.deadline
        self.left_out += not fits
        return fits

    def wait(self) -> None:
        """Wait until the device has done all that is queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], least: float = 0.0) -> float:
        """Time of some work, that of the device included.

        It is done again until so many seconds have passed; the mean counts.
        """
        gc.collect()  # the end of an earlier line's loader processes isn't this one's
        self.wait()
        started, times = time.perf_counter(), 0
        while not times or time.perf_counter() - started < least:
            work()
            self.wait()
            times += 1
        return (time.perf_counter() - started) / times

    def images(self, *, cached: bool) -> tuple[ImageSet, ImageSet]:
        """Photographs to train on and others to embed, kept decoded or not."""
        scale = self.scale
        parts = photographs(
            self.folder / "photographs", scale.classes, scale.images_per_class, scale.photograph
        )
        if not cached:
            return parts
        cache = ImageCache(self.folder / "cache").of("photographs", self.folder)
        return parts[0].with_cache(cache), parts[1].with_cache(cache)

    def settings(self, epochs: int = 1) -> RunSettings:
        """A run of HIST on the largest batch, from random weights."""
        loss = find_loss("hist")
        own: type[LossParameters] = loss.parameters
        values = {
            "batch_size": self.scale.batches[-1],
            "embedding_size": EMBEDDING_SIZE,
            "warmup_epochs": 0,
        }
        return RunSettings(
            backbone=find_backbone(self.scale.backbone),
            weights="none",
            loss=loss,
            objective=USUAL_OBJECTIVE,
            epochs=epochs,
            configuration=known_parameters(own).complete(values),
            seed=0,
        )


Section = Callable[[Session], Iterator[Row]]
"""Yields the lines of its table as they are measured."""
