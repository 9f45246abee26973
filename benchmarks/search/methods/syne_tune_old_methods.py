"""The searches with Gaussian processes of Syne Tune 0.13, which later releases lack."""

import logging
import sys
from contextlib import redirect_stdout

import numpy as np

from benchmarks.search.simulator import Problem, Search

with redirect_stdout(sys.stderr):  # it prints which of its extras are missing
    from syne_tune.optimizer.baselines import MOBSTER, DyHPO, HyperTune

    from benchmarks.search.methods.syne_tune_driver import (
        METRIC,
        RESOURCE,
        SyneTuneSearch,
        make_space,
    )

SCHEDULERS = {"dyhpo": DyHPO, "mobster": MOBSTER, "hypertune": HyperTune}


def build(method: str, problem: Problem, seed: int) -> Search:
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    np.random.seed(seed)
    scheduler = SCHEDULERS[method](
        make_space(problem),
        metric=METRIC,
        mode="max",
        resource_attr=RESOURCE,
        max_t=problem.epochs,
        random_seed=seed,
        search_options={"debug_log": False},
    )
    return SyneTuneSearch(scheduler, scheduler.suggest, problem)
