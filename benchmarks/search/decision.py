"""How long one decision of the planner takes with a thousand observations.

    python -m benchmarks.search.decision --table benchmarks/search/tables/wide-omniglot.jsonl

A decision is all that stands between an epoch and the next one: a new planner with the study's fit,
the posterior and the choice. A fit of the model's settings, made anew whenever a study has a fifth
more epochs than at the last one, is timed by itself.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.search.table import PERCENT, Table
from histsearch.freeze_thaw.candidates import Candidates
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView

_OBSERVATIONS = 1000
_LENGTHS = (12, 4, 1)  # epochs a trial


def _views(table: Table, candidates: Candidates, length: int) -> list[TrialView]:
    rng = np.random.default_rng(0)
    views = []
    for number in range(_OBSERVATIONS // length):
        row = int(rng.integers(len(candidates.configurations)))
        runs = table.recordings(table.row(candidates.configurations[row]))
        run = runs[number % len(runs)]
        recalls = tuple(float(PERCENT * recall) for recall in run.curve_T[:length])
        seconds = tuple(float(one) for one in run.seconds_T[:length])
        views.append(TrialView(row, recalls, seconds, resumable=length < table.epochs))
    return views


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    table = Table(options.table)
    space = table.space
    candidates = space.candidates((), (), np.random.default_rng(0))
    places_GD, distances_D = candidates.places_GD, candidates.distances_D
    for length in _LENGTHS:
        views = _views(table, candidates, length)
        fitted = Planner(places_GD, distances_D, table.epochs)
        started = time.process_time()
        fitted.refit(views)
        fit = time.process_time() - started
        decisions = []
        for _ in range(options.repeats):
            started = time.process_time()
            Planner(places_GD, distances_D, table.epochs, fitted.fit).next(views)
            decisions.append(time.process_time() - started)
        print(
            f"{len(views)} trials of {length} epochs: a decision takes "
            f"{1e3 * statistics.median(decisions):.1f} ms (longest {1e3 * max(decisions):.1f}, "
            f"n = {options.repeats}), a fit {1e3 * fit:.0f} ms"
        )


if __name__ == "__main__":
    main()
