"""The project's own sampler and pruner."""

import math
from collections.abc import Sequence

import numpy as np
from optuna.distributions import CategoricalDistribution
from typing_extensions import override

from benchmarks.search.simulator import Job, Problem, Search, Simulation
from benchmarks.search.table import PERCENT, Params, Table
from histsearch.search.candidates import MOST, SearchSpace
from histsearch.search.experience import Experience, expected_by_all
from histsearch.search.history import BEST, learn_from
from histsearch.search.planner import Fit, Planner, TrialView
from histsearch.space.space import Decided

_EARLIER_BUDGET = 0.05  # part of the earlier grid's cost that was spent there


class HistSearch(Search):
    """The planner that `HistSampler` and `HistPruner` ask, without a database between."""

    def __init__(self, problem: Problem, seed: int, experiences: Sequence[Experience] = ()) -> None:
        self._epochs = problem.epochs
        self._search_space = {
            name: CategoricalDistribution(values) for name, values in problem.values.items()
        }
        self._is_large = math.prod(map(len, problem.values.values())) > MOST
        self._experiences = experiences
        self._rng = np.random.default_rng(seed)
        self._candidates = SearchSpace(self._search_space).candidates((), (), self._rng)
        self._planner = self._plan()
        every = range(len(self._candidates.configurations))
        self._first = self._planner.first(every, self._rng)
        self._trials: list[TrialView] = []
        self._answer: int | None = None
        self._most = problem.trials
        self._is_over = False
        self._doubts = np.random.default_rng(seed)

    def _plan(self, fit: Fit | None = None) -> Planner:
        expected_KGB = expected_by_all(self._experiences, self._candidates.configurations)
        places_GD, distances_D = self._candidates.places_GD, self._candidates.distances_D
        return Planner(places_GD, distances_D, self._epochs, fit, expected_KGB)

    def _draw_anew(self) -> None:
        """Choose from another draw of a space too large to look at whole, as the sampler does."""
        if not self._is_large:
            return
        before = self._candidates.configurations
        tried = [before[trial.configuration] for trial in self._trials]
        furthest = sorted(self._trials, key=lambda one: (len(one.recalls), one.recalls[-1:]))
        best = [before[trial.configuration] for trial in furthest[-BEST:]]
        self._candidates = SearchSpace(self._search_space).candidates(tried, best, self._rng)
        for number, (trial, params) in enumerate(zip(self._trials, tried, strict=True)):
            row = self._candidates.row(params)
            assert row is not None
            self._trials[number] = trial._replace(configuration=row)
        if self._answer is not None:
            self._answer = self._candidates.row(before[self._answer])
        self._planner = self._plan(self._planner.fit)

    def next(self) -> Job | None:
        if not self._trials:
            return self._start(self._first)
        self._draw_anew()
        if self._has_ended():
            winner = self._winner()
            return self._resume(winner) if self._trials[winner].resumable else None
        action = self._planner.next(self._trials, may_start=self._may_start)
        if action is None:
            return None
        if action.trial is None:
            return self._start(action.configuration)
        return self._resume(action.trial)

    @property
    def _may_start(self) -> bool:
        return self._most is None or len(self._trials) < self._most

    def _has_ended(self) -> bool:
        """Whether no new trial may start, and those that were begun will hardly change the answer.

        As a study ends without ``[decided]``.
        """
        if not (self._may_start or self._is_over):
            limits = Decided()
            chance = self._planner.chance_of_overtaking(
                self._trials,
                self._standing(),
                limits.delta,
                limits.epsilon,
                self._doubts,
            )
            self._is_over = chance < limits.epsilon
        return self._is_over

    def _standing(self) -> int:
        standing = self._answer if self._may_start else None
        self._answer = self._planner.answer(self._trials, standing).configuration
        return self._answer

    def _winner(self) -> int:
        """The furthest trial of the answer."""
        answer = self._standing()
        its = [number for number, one in enumerate(self._trials) if one.configuration == answer]
        return max(its, key=lambda number: len(self._trials[number].recalls))

    def _resume(self, trial: int) -> Job:
        self._trials[trial] = self._trials[trial]._replace(running=True, resumable=False)
        return self._job(trial)

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
        self._draw_anew()
        known = self._trials[trial]
        self._planner.refit(self._trials)
        if not known.resumable:
            return False
        if self._has_ended():
            goes_on = trial == self._winner()
        else:
            action = self._planner.next(self._trials, current=trial, may_start=self._may_start)
            goes_on = action is not None and action.trial == trial
        if goes_on:
            self._trials[trial] = known._replace(running=True, resumable=False)
        return goes_on

    def recommend(self) -> Params:
        return self._candidates.configurations[self._standing()]

    def doubt(self, delta: float, epsilon: float, rng: np.random.Generator) -> float:
        """The probability that one is better than the answer by more than ``delta``."""
        ended = [trial._replace(running=False) for trial in self._trials]
        answer = self._planner.answer(ended, self._answer).configuration
        return self._planner.doubt(ended, answer, delta, epsilon, rng)

    def experience(self, name: str) -> Experience:
        """What this search teaches a later one."""
        return learn_from(name, self._search_space, self._candidates, self._trials, self._epochs)


class RandomTrials(HistSearch):
    """Full runs of configurations drawn at random, and the answer that our model gives to them.

    What it lacks to `HistSearch` is the choice of trials alone; what it has beyond plain random
    search, the answer.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._ended = 0
        self._order = self._rng.permutation(len(self._candidates.configurations)).tolist()

    @override
    def next(self) -> Job | None:
        return self._start(self._order.pop()) if self._order else None

    @override
    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        known = self._trials[trial]
        self._trials[trial] = known._replace(
            recalls=(*known.recalls, PERCENT * recall), running=epoch < self._epochs
        )
        return True

    @override
    def recommend(self) -> Params:
        """Looked at anew when a trial has ended."""
        ended = [trial for trial in self._trials if not trial.running]
        if len(ended) > self._ended or self._answer is None:
            self._ended = len(ended)
            self._planner.refit(self._trials)
            return super().recommend()
        return self._candidates.configurations[self._answer]


def _search_before(table: Table, seed: int) -> Experience:
    search = HistSearch(Problem(table.values, table.epochs, 1), seed)
    Simulation(table, search, workers=1, budget=_EARLIER_BUDGET, seed=seed).run()
    return search.experience(table.name)


def build(method: str, problem: Problem, seed: int) -> Search:
    """The method "hist", or "random-hist" for `RandomTrials`.

    "hist-warm" is hist after a search of another table, and so is "hist-misled", which takes that
    table's good configurations for bad, and the bad for good.
    """
    if method == "random-hist":
        return RandomTrials(problem, seed)
    if problem.earlier is None or method == "hist":
        return HistSearch(problem, seed)
    experience = _search_before(problem.earlier, seed)
    if method == "hist-misled":
        experience = experience._replace(weights_BV=-experience.weights_BV)
    return HistSearch(problem, seed, [experience])
