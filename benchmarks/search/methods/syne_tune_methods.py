"""The multi-fidelity searches of Syne Tune 0.16, all on asynchronous successive halving.

Its release has the stopping type alone: a trial goes on at once where it is among the best third
of those that reached its rung before, and ends otherwise.
"""

import logging

import numpy as np
from syne_tune.optimizer.baselines import ASHA, ASHABORE, ASHACQR, BOHB

from benchmarks.search.methods.syne_tune_driver import (
    METRIC,
    RESOURCE,
    SyneTuneSearch,
    make_space,
)
from benchmarks.search.simulator import Problem, Search

SCHEDULERS = {"asha": ASHA, "bohb": BOHB, "ashabore": ASHABORE, "ashacqr": ASHACQR}


def build(method: str, problem: Problem, seed: int) -> Search:
    # BORE reports an error at every proposal where the grid has fewer points than it draws.
    logging.disable(logging.ERROR)
    # Random configurations are drawn from NumPy's global generator.
    np.random.seed(seed)
    scheduler = SCHEDULERS[method](
        make_space(problem),
        metric=METRIC,
        time_attr=RESOURCE,
        max_t=problem.epochs,
        do_minimize=False,
        random_seed=seed,
        grace_period=1,
    )
    return SyneTuneSearch(scheduler, lambda _: scheduler.suggest(), problem)
