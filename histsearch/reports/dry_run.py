"""What a search will cost, found out before it is created."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch

from histsearch.data.census import Census
from histsearch.data.image_cache import ImageCache
from histsearch.reports.trained_share import trained_share
from histsearch.space.largest_runs import batch_sizes, largest_run
from histsearch.space.space import Space
from histsearch.studies.catalog import PlannedSearch
from histsearch.studies.hours import in_seconds
from histsearch.studies.images import count_images
from histsearch.training.arithmetic import check_precision
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.images_on_device import ImagesOnDevice
from histsearch.training.run_inputs import (
    find_run_parts,
    load_images,
    run_settings,
    split_images,
)
from histsearch.training.run_states import GENERATIONS
from histsearch.training.timing import RunCosts, RunImages, time_run
from histsearch.workers.missing_resources import Lack, find_lack, short_of

_OF_MEMORY = (Lack.GPU_MEMORY, Lack.MEMORY)


@dataclass(frozen=True)
class DryRun:
    """What a search will cost with one worker.

    Attributes:
        planned: The search.
        census: Its images.
        costs: What a run costs by its batch size: the smallest and the largest one of the space,
            or the only one.
        warmup_epochs: Of the longest run.
    """

    planned: PlannedSearch
    census: Census
    costs: Mapping[int, RunCosts]
    warmup_epochs: int

    @property
    def space(self) -> Space:
        """What is searched."""
        return self.planned.definition.space

    @property
    def warnings(self) -> list[str]:
        """What a score on its images can't tell, a sentence each."""
        decided = self.space.decided
        return self.census.warnings(None if decided is None else decided.delta)

    @property
    def run_seconds(self) -> dict[int, float]:
        """Seconds of a full run by its batch size."""
        return {
            size: self.space.epochs * one.epoch_seconds + self.warmup_epochs * one.training_seconds
            for size, one in self.costs.items()
        }

    @property
    def at_most_seconds(self) -> float:
        """Seconds of all trials in full with the slower batch size, as far as the hours go."""
        run = max(self.run_seconds.values())
        return self._limited(self.planned.budget * run, run)

    @property
    def probable_seconds(self) -> float:
        """The same for what is probably trained, with the mean of both batch sizes."""
        run = fmean(self.run_seconds.values())
        share = trained_share(self.space, self.planned.budget)
        return self._limited(share * self.planned.budget * run, run)

    def _limited(self, seconds: float, run: float) -> float:
        """Seconds that are trained: hours that are used up end no run that began before.

        Nor do they keep an enqueued one from beginning.
        """
        hours = self.space.gpu_hours
        if hours is None:
            return seconds
        return min(seconds, max(in_seconds(hours) + run, len(self.space.enqueue) * run))

    @property
    def peak_memory_bytes(self) -> int:
        """Memory with the largest batch size; as `RunCosts` has it."""
        return self.costs[max(self.costs)].peak_memory_bytes

    @property
    def state_bytes(self) -> int:
        """Of the largest saved state."""
        return max(one.state_bytes for one in self.costs.values())

    @property
    def states(self) -> int:
        """Saved states that the checkpoint store may hold at once.

        Those of all trials where these are paused, else of the one that a worker runs.
        """
        pauses = self.planned.definition.pauses
        return GENERATIONS * (self.planned.budget if pauses else 1)


def dry_run(
    planned: PlannedSearch,
    *,
    device: str,
    threads: int,
    loader_processes: int,
    data_dir: Path,
    image_cache: ImageCache,
    on_batch_size: Callable[[int], object],
) -> DryRun:
    """Find out what a search will cost on this machine; nothing is created.

    Args:
        planned: The search.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
        loader_processes: Processes that decode images.
        data_dir: Folder of the data sets.
        image_cache: Where workers keep decoded images.
        on_batch_size: Told each batch size before it is tried.

    Raises:
        LackError: The largest batch size doesn't fit into memory.
        HistsearchError: Values, images or weights can't be used.
    """
    torch.set_num_threads(threads)
    space, on = planned.definition.space, torch.device(device)
    check_precision(space.precision, on)
    parts = find_run_parts(space, data_dir)
    dataset = load_images(space, data_dir, loader_processes)
    census = count_images(dataset, planned.definition)
    images = RunImages(
        *split_images(dataset, space.protocol), image_cache.of(space.dataset, data_dir)
    )

    on_device = ImagesOnDevice(on, DataOnGpu.auto)

    def costs_of(batch_size: int) -> RunCosts:
        on_batch_size(batch_size)
        values = largest_run(space, batch_size)
        settings = run_settings(space, values, parts, seed=space.protocol.seed)
        timed = partial(time_run, settings, images, on_device, loader_processes=loader_processes)
        try:
            return timed()
        except RuntimeError as error:
            if find_lack(error) is not Lack.GPU_MEMORY or not on_device.give_up():
                raise
        return timed()

    sizes = batch_sizes(space)
    return DryRun(
        planned,
        census,
        costs=costs_of_ends(sizes, costs_of),
        warmup_epochs=space.complete(largest_run(space, sizes[0])).training.warmup_epochs,
    )


def costs_of_ends(sizes: Sequence[int], costs_of: Callable[[int], RunCosts]) -> dict[int, RunCosts]:
    """What runs with the smallest and the largest of some batch sizes cost.

    Args:
        sizes: Ascending.
        costs_of: Trains with one.

    Raises:
        LackError: One of the two doesn't fit into memory, or the machine lacks something else.
    """
    costs: dict[int, RunCosts] = {}
    for size in dict.fromkeys((sizes[0], sizes[-1])):
        found = _tried(size, costs_of)
        if isinstance(found, Lack):
            fits = _largest_that_fits(sizes, costs_of) if costs else None
            largest = "" if fits is None else f", {fits} is the largest tried that does"
            raise short_of(found, f"batch_size {size} doesn't fit into memory{largest}")
        costs[size] = found
    return costs


def _largest_that_fits(sizes: Sequence[int], costs_of: Callable[[int], RunCosts]) -> int:
    """The largest that fits of ascending batch sizes, of which the first does and the last not."""
    fits, fails = 0, len(sizes) - 1
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if isinstance(_tried(sizes[middle], costs_of), Lack):
            fails = middle
        else:
            fits = middle
    return sizes[fits]


def _tried(size: int, costs_of: Callable[[int], RunCosts]) -> RunCosts | Lack:
    """What a run costs; or the kind of memory that there is too little of for it."""
    try:
        return costs_of(size)
    except (RuntimeError, MemoryError, OSError) as error:
        lack = find_lack(error)
        if lack is None:
            raise
        if lack not in _OF_MEMORY:
            raise short_of(lack, f"{type(error).__name__}: {error}") from error
    return lack
