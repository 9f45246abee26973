"""A table of learning curves: what a benchmark of searches replays instead of training."""

# G = configurations of the grid, S = seeds, E = epochs, D = parameters,
# N = configurations that were trained

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

Value = int | float | str | bool
Params = dict[str, Value]
Array = npt.NDArray[np.float64]

PERCENT = 100.0
_JITTER = 1e-6  # square points, for the Cholesky factor
_MOST_FOR_TRUTH = 1500  # configurations that the model of the truth is fitted to


@dataclass(frozen=True)
class Recording:
    """One run as it was trained: R@1 after each epoch, in [0, 1], and each epoch's seconds."""

    curve_E: Array
    seconds_E: Array


class _Smoothing(NamedTuple):
    """A Gaussian process over a table: N configurations' mean curves, and their covariances.

    The covariances are those of last R@1s that are scaled to a variance of one.
    """

    means_NE: Array
    prior_GG: Array
    shared_GN: Array
    kernel_NN: Array

    @property
    def left_GG(self) -> Array:
        """Covariance of the truths, given the runs, in square points."""
        shared_GN, kernel_NN = self.shared_GN, self.kernel_NN
        left_GG = self.prior_GG - shared_GN @ np.linalg.solve(kernel_NN, shared_GN.T)
        scaled_GG: Array = left_GG * float(np.var(self.means_NE[:, -1]))
        return scaled_GG


class Table:
    """All runs of a file, and the space they span.

    A file has one JSON object a line: ``params``, ``seed``, ``curve`` (R@1 after each epoch, in
    [0, 1]) and ``seconds`` (of the whole run); ``epoch_seconds`` and ``warmup_seconds`` where each
    epoch's own time is known. A curve that ends early keeps its last value.

    Attributes:
        values: The ascending distinct values of each parameter.
        epochs: Length of the longest curve.

    Raises:
        OSError: The file can't be read.
        ValueError: It holds no run, or a line that isn't one.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        lines = list(lines_of(path))
        if not lines:
            raise ValueError(f"{path} holds no run")
        names = list(lines[0]["params"])
        self.values: dict[str, tuple[Value, ...]] = {
            name: tuple(sorted({line["params"][name] for line in lines}, key=_order))
            for name in names
        }
        self.epochs = max(len(line["curve"]) for line in lines)
        self.grid: list[Params] = [
            dict(zip(names, values, strict=True)) for values in product(*self.values.values())
        ]
        self._row_of = {self._key(params): row for row, params in enumerate(self.grid)}
        self._recordings: dict[int, list[Recording]] = {}
        for line in sorted(lines, key=lambda line: int(line["seed"])):
            row = self._row_of[self._key(line["params"])]
            self._recordings.setdefault(row, []).append(_recording(line, self.epochs))

    def _key(self, params: Params) -> tuple[Value, ...]:
        return tuple(params[name] for name in self.values)

    def row(self, params: Params) -> int:
        """The place of a configuration in the grid."""
        return self._row_of[self._key(params)]

    @cached_property
    def places_GD(self) -> Array:
        """Index of each parameter's value among its values, scaled to [0, 1]."""
        places = [
            [
                self.values[name].index(params[name]) / max(1, len(self.values[name]) - 1)
                for name in self.values
            ]
            for params in self.grid
        ]
        return np.array(places, dtype=float)

    def recordings(self, row: int) -> list[Recording]:
        """The runs of a configuration; of its nearest neighbour where the table has none."""
        if row not in self._recordings:
            trained = np.array(sorted(self._recordings))
            distances = np.abs(self.places_GD[trained] - self.places_GD[row]).sum(axis=1)
            row = int(trained[int(distances.argmin())])
        return self._recordings[row]

    @cached_property
    def seed_deviation(self) -> float:
        """Standard deviation between seeds of the last R@1, in points; NaN with one seed."""
        variances = [
            float(np.var([PERCENT * run.curve_E[-1] for run in runs], ddof=1))
            for runs in self._recordings.values()
            if len(runs) > 1
        ]
        return math.sqrt(float(np.mean(variances))) if variances else math.nan

    @cached_property
    def _smoothing(self) -> "_Smoothing":
        rows = np.array(sorted(self._recordings))
        if len(rows) > _MOST_FOR_TRUTH:
            rows = np.random.default_rng(0).choice(rows, _MOST_FOR_TRUTH, replace=False)
        means_NE = PERCENT * np.array(
            [np.mean([run.curve_E for run in self._recordings[row]], axis=0) for row in rows]
        )
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(
            np.ones(self.places_GD.shape[1]), (0.1, 1e2), nu=2.5
        ) + WhiteKernel(0.3, (1e-4, 1e1))
        model = GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0
        )
        model.fit(self.places_GD[rows], means_NE[:, -1])
        fitted = model.kernel_
        return _Smoothing(
            means_NE,
            fitted.k1(self.places_GD),
            fitted.k1(self.places_GD, self.places_GD[rows]),
            fitted(self.places_GD[rows]),
        )

    @cached_property
    def smooth_GE(self) -> Array:
        """R@1 in percent after each epoch, smoothed by a Gaussian process over the whole table.

        Matérn-5/2 on the index of each value, with a length scale a parameter and a noise of its
        own, all of them fitted by marginal likelihood to the last epoch's means over seeds.
        """
        means_NE, _, shared_GN, kernel_NN = self._smoothing
        centre_E = means_NE.mean(axis=0)
        smooth_GE: Array = centre_E + shared_GN @ np.linalg.solve(kernel_NN, means_NE - centre_E)
        return smooth_GE

    @cached_property
    def truth_G(self) -> Array:
        """What a configuration's last R@1 really is, in percent: its smoothed mean over seeds."""
        return self.smooth_GE[:, -1]

    def replicate(self, row: int, rng: np.random.Generator) -> Recording:
        """A made-up run, for a search that repeats a configuration more often than the table did.

        The smoothed curve, with what another configuration's run strays from its own.
        """
        donor = int(rng.choice(sorted(self._recordings)))
        runs = self._recordings[donor]
        strays_E = runs[int(rng.integers(len(runs)))].curve_E - self.smooth_GE[donor] / PERCENT
        curve_E = np.clip(self.smooth_GE[row] / PERCENT + strays_E, 0.0, 1.0)
        return Recording(curve_E, self.recordings(row)[0].seconds_E)

    @cached_property
    def best_deviation(self) -> float:
        """Standard deviation of the best truth, in points, as the smoothing sees it."""
        best = int(self.truth_G.argmax())
        return math.sqrt(max(float(self._smoothing.left_GG[best, best]), 0.0))

    def draw_truths(self, draws: int, rng: np.random.Generator) -> Array:
        """(G, X) Truths as they may be as well, by what the smoothing leaves open."""
        left_GG = self._smoothing.left_GG
        left_GG[np.diag_indices_from(left_GG)] += _JITTER
        factor_GG = np.linalg.cholesky(left_GG)
        truths_GX: Array = self.truth_G[:, None] + factor_GG @ rng.normal(
            size=(len(self.grid), draws)
        )
        return truths_GX

    @cached_property
    def best(self) -> float:
        """The highest truth of the grid."""
        return float(self.truth_G.max())

    @cached_property
    def grid_seconds(self) -> float:
        """What the whole grid costs, one run a configuration."""
        return sum(
            float(np.mean([run.seconds_E.sum() for run in self.recordings(row)]))
            for row in range(len(self.grid))
        )

    @property
    def grid_epochs(self) -> int:
        """Epochs of the whole grid, one run a configuration."""
        return len(self.grid) * self.epochs


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The runs of a file as they stand there; `Table` says what is refused."""
    names = None
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            good = _is_run(line)
        except (ValueError, KeyError, TypeError):
            good = False
        if not good or set(line["params"]) != (names or set(line["params"])):
            raise ValueError(
                f"{path}, line {number}: found {text[:80]!r}, expected an object with params (the "
                "same names in every line), seed, curve (R@1 in [0, 1] after each epoch) and "
                "seconds (more than 0)"
            )
        names = set(line["params"])
        yield line


def _is_run(line: Mapping[str, Any]) -> bool:
    params, curve, seconds = line["params"], line["curve"], float(line["seconds"])
    if not (isinstance(params, dict) and isinstance(curve, list) and "seed" in line):
        return False
    # A run that diverged at once has no curve, and may have taken no time.
    return seconds >= 0 and all(0 <= recall <= 1 for recall in curve) and (seconds > 0 or not curve)


def _order(value: Value) -> tuple[str, float, str]:
    if isinstance(value, int | float):
        return "", float(value), ""
    return "text", 0.0, value


def _recording(line: dict[str, Any], epochs: int) -> Recording:
    curve = line["curve"] or [0.0]
    missing = epochs - len(curve)
    seconds = list(line.get("epoch_seconds") or [line["seconds"] / len(curve)] * len(curve))
    seconds[0] += line.get("warmup_seconds", 0.0)
    # A run that diverged costs nothing more.
    return Recording(
        np.array(curve + [curve[-1]] * missing),
        np.array(seconds + [1e-3] * (epochs - len(seconds))),
    )
