"""A run as it was trained, on the epochs that all runs of a table are looked at after."""

# T = epochs that a table's runs are looked at after, K = scores of one run

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from benchmarks.search.table_file import Line

Array = npt.NDArray[np.float64]

_AFTERWARDS = 1e-3  # seconds of an epoch of a run that has diverged, for the order of events


@dataclass(frozen=True)
class Recording:
    """One run.

    Attributes:
        curve_T: Its score after each epoch, in [0, 1]; 0 from where it diverged.
        seconds_T: What each epoch took.
        steps_T: How many steps of its own each epoch is: 1 where it has as many as the table.
    """

    curve_T: Array
    seconds_T: Array
    steps_T: Array

    @classmethod
    def of(cls, line: Line, epochs: int, length: float) -> Self:
        """A line of a file, looked at after so many equal parts of its whole length.

        After each part it shows its next score, and has cost what that took. One that diverged is
        worth nothing from then on, and costs nothing.

        Args:
            line: The line.
            epochs: T.
            length: Its whole length, in the unit of its steps.
        """
        curve, steps_K = np.array(line["curve"], dtype=float), _steps(line)
        seconds_K = _seconds(line, steps_K)
        ends_T = np.arange(1, epochs + 1) * (length / epochs)
        # Rounding must not make the last score of a part that of the next one.
        at_T = np.searchsorted(steps_K, ends_T * (1 - 1e-9))
        over_T = at_T >= len(steps_K)
        if not line.get("diverged"):
            at_T, over_T = np.minimum(at_T, len(steps_K) - 1), np.zeros(epochs, dtype=bool)
        cost_T = np.concatenate([[0.0], np.cumsum(seconds_K)])[np.where(over_T, -1, at_T + 1)]
        spent_T = np.concatenate([[0.0], steps_K])[np.where(over_T, -1, at_T + 1)]
        scores_T = np.where(over_T, 0.0, np.append(curve, 0.0)[np.where(over_T, -1, at_T)])
        seconds_T = np.maximum(np.diff(cost_T, prepend=0.0), _AFTERWARDS)
        return cls(scores_T, seconds_T, np.diff(spent_T, prepend=0.0) * (mean_steps(line)))


def mean_steps(line: Line) -> float:
    """How many scores a step of a run is: 1 where it was scored after each."""
    return len(line["curve"]) / line["steps"][-1] if line.get("steps") else 1.0


def _steps(line: Line) -> Array:
    return np.array(line.get("steps") or range(1, len(line["curve"]) + 1), dtype=float)


def _seconds(line: Line, steps_K: Array) -> Array:
    known = line.get("epoch_seconds")
    parts_K = np.diff(steps_K, prepend=0.0)
    seconds_K = np.array(known) if known else line["seconds"] * parts_K / max(parts_K.sum(), 1.0)
    if len(seconds_K):
        seconds_K[0] += line.get("warmup_seconds", 0.0)
    return seconds_K


def length_of(line: Line) -> float:
    """The whole length of a run that didn't diverge, in the unit of its steps."""
    steps = line.get("steps")
    return float(steps[-1]) if steps else float(len(line["curve"]) or math.nan)
