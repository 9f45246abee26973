"""When a search with one worker is decided, and how good its answer is then.

    python -m benchmarks.search.stopping --table T.jsonl --delta 1.0 --repeats 12

The rule is the one of a study's ``[decided]``, asked after every epoch: the probability that some
configuration is better than the answer by more than ``delta`` points is below ``epsilon``.
"""

import argparse
from pathlib import Path

import numpy as np
from typing_extensions import override

from benchmarks.search.methods.ours import FreezeThaw
from benchmarks.search.simulator import Job, Problem, Simulation
from benchmarks.search.table import Table


class StoppingSearch(FreezeThaw):
    """Ours, until its answer is decided."""

    def __init__(self, problem: Problem, seed: int, delta: float, epsilon: float) -> None:
        super().__init__(problem, seed)
        self._delta, self._epsilon = delta, epsilon
        self._rng = np.random.default_rng(seed)
        self.decided = False

    @override
    def next(self) -> Job | None:
        return None if self.decided else super().next()

    @override
    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        goes_on = super().report(trial, epoch, recall, seconds)
        self.decided = self.chance_of_better(self._delta, self._epsilon, self._rng) < self._epsilon
        return goes_on and not self.decided


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--delta", type=float, default=0.5, help="points of R@1")
    parser.add_argument("--epsilon", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--budget", type=float, default=0.2, help="part of the grid's full cost")
    options = parser.parse_args()
    table = Table(options.table)
    problem = Problem(table.space, table.epochs, workers=1)
    for repeat in range(options.repeats):
        search = StoppingSearch(problem, repeat, options.delta, options.epsilon)
        steps = Simulation(table, search, workers=1, budget=options.budget, seed=repeat).run()
        print(
            f"repeat {repeat}: {'decided' if search.decided else 'not decided'} after "
            f"{steps[-1].epochs / table.run_epochs:.1f} full runs, regret {steps[-1].regret:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
