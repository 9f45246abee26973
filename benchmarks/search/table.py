"""A table of learning curves: what a benchmark of searches replays instead of training."""

# G = configurations, T = epochs, D = parameters

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.search.columns import Params, Value, spanned_by
from benchmarks.search.recording import Array, Recording, length_of
from benchmarks.search.table_file import Line, lines_of
from benchmarks.search.truth import Truth
from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.parameters import Choices

PERCENT = 100.0
_MOST_EPOCHS = 50  # that runs of different lengths are divided into
_SEEDS_ENOUGH = 5  # for a mean over them to be the truth


class Table:
    """All runs of a file, and the space they span.

    A file has one JSON object a line: ``params``, ``seed``, ``curve`` (the score after each epoch,
    in [0, 1]) and ``seconds`` (of the whole run); ``epoch_seconds`` and ``warmup_seconds`` where
    each epoch's own time is known, ``steps`` where it was scored at other steps, and ``diverged``,
    whether it ended in NaN, which is worth 0.

    A table is a grid, or *listed*: random points of ranges. Parameters that follow from others are
    left out. Where runs differ in length, each is looked at after as many equal parts of its own
    length, which are the table's epochs.

    Attributes:
        name: The file's, without its ending.
        parameters: What is searched.
        is_listed: Whether the configurations are listed points.
        grid: All configurations.
        epochs: Epochs of a run: T.

    Raises:
        OSError: The file can't be read.
        ValueError: It holds no run, or a line that isn't one.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        lines = list(lines_of(path))
        if not lines:
            raise ValueError(f"{path} holds no run")
        self.parameters, self.is_listed = spanned_by([line["params"] for line in lines])
        self.grid: list[Params] = self._configurations(lines)
        self._row_of = {self._key(params): row for row, params in enumerate(self.grid)}
        lengths = _lengths(lines)
        self.epochs = _epochs(lines, lengths)
        self._recordings: dict[int, list[Recording]] = {}
        for line, length in sorted(
            zip(lines, lengths, strict=True), key=lambda one: int(one[0]["seed"])
        ):
            row = self._row_of[self._key(line["params"])]
            recording = Recording.of(line, self.epochs, length)
            self._recordings.setdefault(row, []).append(recording)

    def _configurations(self, lines: Sequence[Line]) -> list[Params]:
        if self.is_listed:
            points = {self._key(line["params"]): line["params"] for line in lines}
            return [{name: one[name] for name in self.parameters} for one in points.values()]
        values = [one.values for one in self.parameters.values() if isinstance(one, Choices)]
        return [dict(zip(self.parameters, one, strict=True)) for one in product(*values)]

    @cached_property
    def space(self) -> SearchSpace:
        """What a search is told to search."""
        return SearchSpace(self.parameters, self.grid if self.is_listed else None)

    def _key(self, params: Params) -> tuple[Value, ...]:
        return tuple(params[name] for name in self.parameters)

    def row(self, params: Params) -> int:
        """The place of a configuration in the grid."""
        return self._row_of[self._key(params)]

    @cached_property
    def places_GD(self) -> Array:
        """Where each configuration lies in each parameter, in [0, 1]."""
        ends_D = [max(1, len(distances) - 1) for distances in self.space.distances_D]
        scaled_GD: Array = self.space.places(self.grid) / np.array(ends_D, dtype=float)
        return scaled_GD

    def recordings(self, row: int) -> list[Recording]:
        """The runs of a configuration; of its nearest neighbour where the table has none."""
        if row not in self._recordings:
            trained = np.array(sorted(self._recordings))
            distances = np.abs(self.places_GD[trained] - self.places_GD[row]).sum(axis=1)
            row = int(trained[int(distances.argmin())])
        return self._recordings[row]

    @cached_property
    def seed_deviation(self) -> float:
        """Standard deviation between seeds of the last score, in points; NaN with one seed."""
        variances = [
            float(np.var([PERCENT * run.curve_T[-1] for run in runs], ddof=1))
            for runs in self._recordings.values()
            if len(runs) > 1
        ]
        return math.sqrt(float(np.mean(variances))) if variances else math.nan

    @cached_property
    def truth(self) -> Truth:
        """What the configurations are really worth.

        The mean over seeds; smoothed over the grid where that has an order and few seeds.
        """
        rows = sorted(self._recordings)
        means = PERCENT * np.array(
            [np.mean([run.curve_T for run in self._recordings[row]], axis=0) for row in rows]
        )
        if self._is_smoothed:
            return Truth.smoothed(means, np.array(rows), self.places_GD)
        variances = [
            np.var([PERCENT * run.curve_T[-1] for run in runs], ddof=1) / len(runs)
            if len(runs) > 1
            else 0.0
            for runs in map(self.recordings, range(len(self.grid)))
        ]
        whole = PERCENT * np.array(
            [
                np.mean([run.curve_T for run in self.recordings(row)], axis=0)
                for row in range(len(self.grid))
            ]
        )
        return Truth.of_means(whole, np.array(variances))

    @property
    def _is_smoothed(self) -> bool:
        has_order = any(
            isinstance(one, Choices) and not isinstance(one.values[0], str)
            for one in self.parameters.values()
        )
        seeds = min(map(len, self._recordings.values()))
        return has_order and not self.is_listed and seeds < _SEEDS_ENOUGH

    @property
    def truth_G(self) -> Array:
        """What a configuration's last score really is, in percent."""
        return self.truth.curves_GT[:, -1]

    def replicate(self, row: int, rng: np.random.Generator) -> Recording:
        """A made-up run, for a search that repeats a configuration more often than the table did.

        The true curve, with what another configuration's run strays from its own.
        """
        donor = int(rng.choice(sorted(self._recordings)))
        runs = self._recordings[donor]
        true_GT = self.truth.curves_GT / PERCENT
        strays_T = runs[int(rng.integers(len(runs)))].curve_T - true_GT[donor]
        own = self.recordings(row)[0]
        curve_T = np.clip(true_GT[row] + strays_T, 0.0, 1.0)
        return Recording(curve_T, own.seconds_T, own.steps_T)

    @cached_property
    def best(self) -> float:
        """The highest truth of the grid."""
        return float(self.truth_G.max())

    @cached_property
    def grid_seconds(self) -> float:
        """What the whole grid costs, one run a configuration."""
        return sum(
            float(np.mean([run.seconds_T.sum() for run in self.recordings(row)]))
            for row in range(len(self.grid))
        )

    @cached_property
    def grid_epochs(self) -> float:
        """Epochs of the whole grid, one run a configuration, each in scores of its own."""
        return sum(
            float(np.mean([run.steps_T.sum() for run in self.recordings(row)]))
            for row in range(len(self.grid))
        )

    @property
    def run_epochs(self) -> float:
        """Epochs of a full run: the mean over the grid, in scores of each run's own."""
        return self.grid_epochs / len(self.grid)


def _lengths(lines: Sequence[Line]) -> list[float]:
    """The whole length of each run; one that diverged has what a parameter says, or the longest."""
    lengths = [math.nan if line.get("diverged") else length_of(line) for line in lines]
    known = [number for number, length in enumerate(lengths) if not math.isnan(length)]
    telling = [
        name
        for name in lines[0]["params"]
        if all(lines[number]["params"][name] == lengths[number] for number in known)
    ]
    longest = max((lengths[number] for number in known), default=1.0)
    return [
        (float(line["params"][telling[0]]) if telling else longest)
        if math.isnan(length)
        else length
        for line, length in zip(lines, lengths, strict=True)
    ]


def _epochs(lines: Sequence[Line], lengths: Sequence[float]) -> int:
    """As many as the runs have scores; where they differ, the mean, and at most `_MOST_EPOCHS`."""
    scores = [len(line["curve"]) for line in lines if not line.get("diverged")]
    if len(set(lengths)) == 1:
        return max(scores, default=1)
    return min(round(sum(scores) / len(scores)), _MOST_EPOCHS)
