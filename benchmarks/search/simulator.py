"""Replays a table under a search, with any number of parallel workers and simulated time."""

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.search.columns import Params
from benchmarks.search.recording import Recording
from benchmarks.search.table import Table
from histsearch.freeze_thaw.candidates import SearchSpace


class Problem(NamedTuple):
    """What a search is told before it begins.

    Attributes:
        space: What is searched; of listed points these alone can be trained.
        epochs: Epochs of a full run.
        workers: How many run trials at once.
        earlier: Another table, which a method may have searched before.
        trials: How many trials it may begin; None for any number.
    """

    space: SearchSpace
    epochs: int
    workers: int
    earlier: Table | None = None
    trials: int | None = None


class Job(NamedTuple):
    """Work for a free worker: a new trial, or an earlier one that goes on where it stood.

    Attributes:
        trial: The search's own number of the trial.
        params: Its configuration.
    """

    trial: int
    params: Params


class Search(ABC):
    """A method under test; the simulator calls it, one call after another."""

    @abstractmethod
    def next(self) -> Job | None:
        """Work for one free worker; None to leave it idle until something else is reported."""

    @abstractmethod
    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        """Take in R@1 (in [0, 1]) after an epoch of a trial; whether the trial goes on now.

        After the last epoch the answer doesn't matter. A trial that doesn't go on frees its worker;
        `next` may name it again.
        """

    @abstractmethod
    def recommend(self) -> Params:
        """The configuration the method would give its user now."""


class Step(NamedTuple):
    """The state of a search after an epoch: its costs so far, and how good its answer is.

    Attributes:
        epochs: Epochs trained by all workers; of runs of different lengths, each in its own.
        seconds: Worker-seconds, idle time included.
        regret: The grid's best truth minus the recommendation's, in points of R@1.
    """

    epochs: float
    seconds: float
    regret: float


@dataclass(order=True)
class _Event:
    time: float
    number: int
    trial: int = field(compare=False)


@dataclass
class _Trial:
    params: Params
    recording: Recording
    epoch: int = 0


class Simulation:
    """One search on one table.

    The first trial of a configuration replays one of its seeds, chosen by ``seed``, a repeated one
    the next, and made-up ones when the table has no more.

    Args:
        table: The table to replay.
        search: The method.
        workers: Trials that run at once.
        budget: Part of the grid's full cost at which to stop, reached in epochs and in seconds.
        seed: Chooses the recordings.
    """

    def __init__(
        self, table: Table, search: Search, *, workers: int, budget: float, seed: int
    ) -> None:
        self._table = table
        self._search = search
        self._workers = workers
        self._budget = budget
        self._rng = np.random.default_rng(seed)
        self._first_seed = self._rng.integers(1_000_000, size=len(table.grid))
        self._taken: Counter[int] = Counter()
        self._trials: dict[int, _Trial] = {}
        self._events: list[_Event] = []
        self._number = 0
        self._time = 0.0

    def run(self) -> list[Step]:
        """Search until the budget is spent, or the method wants nothing more."""
        steps: list[Step] = []
        epochs = 0.0
        while True:
            self._give_work()
            if not self._events:
                return steps
            event = heapq.heappop(self._events)
            self._time = event.time
            epochs += self._finish_epoch(event.trial)
            seconds = self._time * self._workers
            row = self._table.row(self._search.recommend())
            regret = self._table.best - float(self._table.truth_G[row])
            steps.append(Step(epochs, seconds, regret))
            if (
                epochs >= self._budget * self._table.grid_epochs
                and seconds >= self._budget * self._table.grid_seconds
            ):
                return steps

    def _give_work(self) -> None:
        while len(self._events) < self._workers:
            job = self._search.next()
            if job is None:
                return
            if job.trial not in self._trials:
                self._trials[job.trial] = _Trial(job.params, self._recording(job.params))
            self._begin_epoch(job.trial)

    def _recording(self, params: Params) -> Recording:
        row = self._table.row(params)
        runs = self._table.recordings(row)
        repeat = self._taken[row]
        self._taken[row] += 1
        if repeat >= len(runs):
            return self._table.replicate(row, self._rng)
        return runs[(int(self._first_seed[row]) + repeat) % len(runs)]

    def _begin_epoch(self, number: int) -> None:
        trial = self._trials[number]
        if trial.epoch >= self._table.epochs:
            raise ValueError(f"trial {number} was finished and can't go on")
        duration = float(trial.recording.seconds_T[trial.epoch])
        self._number += 1
        heapq.heappush(self._events, _Event(self._time + duration, self._number, number))

    def _finish_epoch(self, number: int) -> float:
        """Report what it showed; returns how much of an epoch it was."""
        trial = self._trials[number]
        recall = float(trial.recording.curve_T[trial.epoch])
        seconds = float(trial.recording.seconds_T[trial.epoch])
        steps = float(trial.recording.steps_T[trial.epoch])
        trial.epoch += 1
        goes_on = self._search.report(number, trial.epoch, recall, seconds)
        if goes_on and trial.epoch < self._table.epochs:
            self._begin_epoch(number)
        return steps
