"""A planner of a grid of 5 × 5 configurations, and trials of its rows."""

import numpy as np

from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView

EPOCHS = 6
DISTANCES = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 4


def planner(epochs: int = EPOCHS, min_epochs: int | None = None) -> Planner:
    places = np.array([[i, j] for i in range(5) for j in range(5)])
    return Planner(places, [DISTANCES, DISTANCES], epochs, min_epochs=min_epochs)


def trial(row: int, *recalls: float, seconds: float = 1.0, **state: bool) -> TrialView:
    return TrialView(row, recalls, (seconds,) * len(recalls), **state)


def paused(row: int, *recalls: float) -> TrialView:
    return trial(row, *recalls, resumable=True)


WINNER = trial(12, 60.0, 70.0, 75.0, 78.0, 79.5, 80.0)
COMPLETE = [
    trial(row, 55.0, 65.0, 70.0, 73.0, 74.5, 75.0 + down)
    for row, down in ((6, 0.0), (8, -0.5), (16, -1.0))
]
POOR = [paused(row, 40.0, 45.0) for row in (0, 4, 20, 24)]
