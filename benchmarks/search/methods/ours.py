"""The project's own sampler and pruner."""

import numpy as np
from optuna.distributions import CategoricalDistribution

from benchmarks.search.simulator import Job, Problem, Search
from benchmarks.search.table import PERCENT, Params
from histsearch.search.candidates import SearchSpace
from histsearch.search.planner import Planner, TrialView


class HistSearch(Search):
    """The planner that `HistSampler` and `HistPruner` ask, without a database between."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._epochs = problem.epochs
        space = SearchSpace(
            {name: CategoricalDistribution(values) for name, values in problem.values.items()}
        )
        rng = np.random.default_rng(seed)
        self._candidates = space.candidates((), (), rng)
        self._first = int(rng.integers(len(self._candidates.configurations)))
        self._planner = Planner(
            self._candidates.places_GD, self._candidates.distances_D, problem.epochs
        )
        self._trials: list[TrialView] = []

    def next(self) -> Job | None:
        if not self._trials:
            return self._start(self._first)
        action = self._planner.next(self._trials)
        if action is None:
            return None
        if action.trial is None:
            return self._start(action.configuration)
        self._trials[action.trial] = self._trials[action.trial]._replace(
            running=True, resumable=False
        )
        return self._job(action.trial)

    def _start(self, row: int) -> Job:
        self._trials.append(TrialView(row, (), running=True))
        return self._job(len(self._trials) - 1)

    def _job(self, trial: int) -> Job:
        return Job(trial, self._candidates.configurations[self._trials[trial].configuration])

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        known = self._trials[trial]
        known = known._replace(
            recalls=(*known.recalls, PERCENT * recall),
            seconds=(*known.seconds, seconds),
            running=False,
            resumable=epoch < self._epochs,
        )
        self._trials[trial] = known
        self._planner.refit(self._trials)
        if not known.resumable:
            return False
        action = self._planner.next(self._trials, current=trial)
        goes_on = action is not None and action.trial == trial
        if goes_on:
            self._trials[trial] = known._replace(running=True, resumable=False)
        return goes_on

    def recommend(self) -> Params:
        answer = self._planner.answer(self._trials)
        return self._candidates.configurations[answer.configuration]


def build(method: str, problem: Problem, seed: int) -> Search:
    """The method "hist"."""
    del method
    return HistSearch(problem, seed)
