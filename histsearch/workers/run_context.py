"""What the runs of one worker share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch

from histsearch.studies.study import Study
from histsearch.training.checkpoint_store import CheckpointStore
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.workers.progress_watch import ProgressWatch
from histsearch.workers.reporter import Reporter
from histsearch.workers.settings import WorkerSettings


def _ignore(_: Study) -> None:
    return None


@dataclass(frozen=True)
class RunContext:
    """What the runs of one worker share.

    Attributes:
        settings: What the worker was started with.
        reporter: Its line to the database.
        checkpoints: Where runs are saved, and retrained models.
        should_stop: Asked between batches; true interrupts the run.
        clock: Gives the seconds that trials are charged: of its device, not of its slot.
        watch: Told of every step of a run.
        saving_watch: The same for the thread that writes its states.
        on_epoch: Called with the study of each epoch that was trained.
    """

    settings: WorkerSettings
    reporter: Reporter
    checkpoints: CheckpointStore
    should_stop: Callable[[], bool]
    clock: Callable[[], float] = time.perf_counter
    watch: ProgressWatch = field(default_factory=ProgressWatch)
    saving_watch: ProgressWatch = field(default_factory=ProgressWatch)
    on_epoch: Callable[[Study], object] = _ignore

    @cached_property
    def device(self) -> torch.device:
        """Where tensors live."""
        return torch.device(self.settings.device)

    @cached_property
    def on_device(self) -> ImagesOnDevice:
        """The images that lie there from one run to the next."""
        return ImagesOnDevice(self.device, self.settings.data_on_gpu, self.settings.identity.slots)
