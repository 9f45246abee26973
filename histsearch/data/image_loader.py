"""Batches of several sets of images from the same processes, kept over epochs and evaluations."""

import multiprocessing
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from histsearch.processes import ends_with_this_process

_Batch = Sequence[Hashable]


class ImageLoader:
    """Loads batches in processes that start with the first one.

    A set that is added later starts them anew. Where fork isn't how processes start, each gets a
    copy of all sets.

    Args:
        processes: Processes that decode; with 0 this one does.
        pin_memory: Whether batches are to be copied to a GPU.

    Attributes:
        processes: How many processes decode.
    """

    def __init__(self, processes: int, *, pin_memory: bool) -> None:
        self.processes = processes
        self._pin_memory = pin_memory
        self._sets = _Sets()
        self._plan = _Plan()
        self._loader: DataLoader[Any] | None = None
        if multiprocessing.get_start_method() == "forkserver":
            # The server imports torch once, where each process would by itself.
            multiprocessing.set_forkserver_preload([__name__])

    def add(self, images: Dataset[Any]) -> None:
        """Have a set at hand before its first batch is asked for."""
        if self._sets.place(images) is None:
            self._sets = self._sets.with_one_more(images)
            self._loader = None

    def batches(self, images: Dataset[Any], keys: Iterable[_Batch]) -> Iterator[Any]:
        """Load batches of a set, which is added where it is new; one iteration at a time.

        Args:
            images: The set.
            keys: The keys of each batch's images.
        """
        self.add(images)
        self._plan.place = self._sets.place(images)
        self._plan.keys = keys
        if self._loader is None:
            self._loader = DataLoader(
                self._sets,
                batch_sampler=self._plan,
                num_workers=self.processes,
                persistent_workers=self.processes > 0,
                pin_memory=self._pin_memory,
                generator=torch.Generator(),
                worker_init_fn=ends_with_this_process(),
            )
        return iter(self._loader)


class _Sets(Dataset[Any]):
    """Several sets as one, whose keys are a set's place and a key of that set."""

    def __init__(self, sets: Sequence[Dataset[Any]] = ()) -> None:
        self._sets = tuple(sets)

    def place(self, images: Dataset[Any]) -> int | None:
        return next((i for i, one in enumerate(self._sets) if one is images), None)

    def with_one_more(self, images: Dataset[Any]) -> "_Sets":
        return _Sets((*self._sets, images))

    def __getitem__(self, key: tuple[int, Hashable]) -> Any:
        place, own_key = key
        return self._sets[place][own_key]


class _Plan:
    """The keys that are loaded next, read as each iteration begins."""

    def __init__(self) -> None:
        self.place: int | None = None
        self.keys: Iterable[_Batch] = ()

    def __iter__(self) -> Iterator[list[tuple[int | None, Hashable]]]:
        for batch in self.keys:
            yield [(self.place, key) for key in batch]
