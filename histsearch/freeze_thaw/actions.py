"""What may be trained next: a new trial, or one that goes on, for some epochs."""

# G = configurations, A = actions

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from histsearch.freeze_thaw.arrays import Array, Flags, Integers
from histsearch.freeze_thaw.costs import EpochCosts
from histsearch.freeze_thaw.kernel import Kernel
from histsearch.freeze_thaw.trials import TrialView

_SWITCH_EPOCHS = 0.2  # what it costs to leave a trial for another


class Action(NamedTuple):
    """Train a configuration: a new trial of it (``trial`` None), or one that goes on."""

    configuration: int
    trial: int | None


class Options(NamedTuple):
    """All actions: train a configuration, as trial number (-1: a new one), from epoch to epoch."""

    configurations_A: Integers
    trials_A: Integers
    before_A: Integers
    after_A: Integers
    shortest_A: Flags  # whether it ends at the trial's next stop
    seconds_A: Array


class Schedule(NamedTuple):
    """When a trial may be left.

    Attributes:
        epochs: Of a full run.
        min_epochs: That a trial runs for at least.
    """

    epochs: int
    min_epochs: int

    @classmethod
    def of(cls, epochs: int, min_epochs: int | None) -> Self:
        """That of a search.

        Args:
            epochs: Of a full run.
            min_epochs: That a trial runs for at least. When left out, the square root of
                ``epochs``: half of a run, as the logarithm of its epochs goes.
        """
        usual = max(1, round(math.sqrt(epochs)))
        return cls(epochs, min(epochs, usual if min_epochs is None else min_epochs))

    def next_stop(self, before: int) -> int:
        """The epoch after which a trial that has run for so many may be left next."""
        return min(max(before + 1, self.min_epochs), self.epochs)

    def horizons(self, before: int) -> list[int]:
        """How far a trial may be thought to run: to its next stop, 2, 4, ... as far, its end."""
        steps = []
        ahead = self.next_stop(before) - before
        while before + ahead < self.epochs:
            steps.append(before + ahead)
            ahead *= 2
        return [*steps, self.epochs]


def all_options(
    trials: Sequence[TrialView],
    kernel: Kernel,
    schedule: Schedule,
    current: int | None,
    *,
    may_start: bool,
) -> Options:
    """All actions, with their costs.

    Args:
        trials: All trials of the study.
        kernel: Over the configurations.
        schedule: When a trial may be left.
        current: The trial that a worker has at hand, which goes on without the cost of a switch.
        may_start: Whether new trials are allowed.
    """
    every_G = np.arange(len(kernel.places_GD))
    begun = [
        (len(trial.recalls), number, trial.configuration)
        for number, trial in enumerate(trials)
        if (trial.resumable or number == current) and len(trial.recalls) < schedule.epochs
    ]
    parts: list[Integers] = [np.zeros((5, 0), dtype=np.int64)]
    for before in sorted({before for before, _, _ in begun}):
        those = np.array([one[1:] for one in begun if one[0] == before])
        parts += _ahead(those[:, 1], those[:, 0], before, schedule)
    if may_start:
        parts += _ahead(every_G, np.full_like(every_G, -1), 0, schedule)
    rows_A, trials_A, before_A, after_A, shortest_A = np.concatenate(parts, axis=1)
    switch_A = np.where(trials_A == (-2 if current is None else current), 0.0, _SWITCH_EPOCHS)
    seconds_A = EpochCosts(kernel, trials).of(rows_A, before_A, after_A, switch_A)
    return Options(rows_A, trials_A, before_A, after_A, shortest_A > 0, seconds_A)


def _ahead(rows: Integers, trials: Integers, before: int, schedule: Schedule) -> list[Integers]:
    """Columns of options for trials that have run for the same number of epochs."""
    stop = schedule.next_stop(before)
    columns = [(before, after, after == stop) for after in schedule.horizons(before)]
    return [
        np.stack([rows, trials, *(np.full_like(rows, one) for one in column)]) for column in columns
    ]
