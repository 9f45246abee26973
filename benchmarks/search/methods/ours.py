"""The project's own search, without a database between."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from benchmarks.search.columns import Params
from benchmarks.search.simulator import Job, Problem, Search, Simulation
from benchmarks.search.table import PERCENT, Table
from histsearch.freeze_thaw.earlier_study import EarlierStudy, learn_from
from histsearch.freeze_thaw.search import FreezeThawSearch, draw_seed
from histsearch.freeze_thaw.trials import Configuration, Trial
from histsearch.space.space import Decided

_EARLIER_BUDGET = 0.05  # part of the earlier grid's cost that was spent there


class FreezeThaw(Search):
    """The search that `FreezeThawSampler` and `FreezeThawPruner` ask."""

    def __init__(self, problem: Problem, seed: int, earlier: Sequence[EarlierStudy] = ()) -> None:
        self._epochs = problem.epochs
        self._seed = seed
        draw = draw_seed(seed, 0, 0)
        self._search = FreezeThawSearch(problem.space, problem.epochs, draw=draw, earlier=earlier)
        self._rng = np.random.default_rng(seed)
        self._first = self._search.ask_for_new([self._rng])
        self._trials: list[Trial] = []
        self._stands: Configuration | None = None
        self._most = problem.trials
        self._is_over = False
        self._doubts = np.random.default_rng(seed)

    def _observe(self) -> None:
        epochs = sum(len(trial.recalls) for trial in self._trials)
        self._search.observe(self._trials, draw_seed(self._seed, len(self._trials), epochs))

    def next(self) -> Job | None:
        if not self._trials:
            return self._start(self._first)
        self._observe()
        if self._has_ended():
            winner = self._winner()
            return self._resume(winner) if self._trials[winner].resumable else None
        action = self._search.ask(may_start=self._may_start)
        if action is None:
            return None
        if action.trial is None:
            return self._start(self._search.candidates.configurations[action.configuration])
        return self._resume(action.trial)

    @property
    def _may_start(self) -> bool:
        return self._most is None or len(self._trials) < self._most

    def _has_ended(self) -> bool:
        """Whether no new trial may start, and those that were begun will hardly change the winner.

        As a study ends without ``[decided]``.
        """
        if not (self._may_start or self._is_over):
            limits = Decided()
            chance = self._search.chance_of_overtaking(
                self._standing(), limits.delta, limits.epsilon, self._doubts
            )
            self._is_over = chance < limits.epsilon
        return self._is_over

    def _standing(self) -> Configuration:
        self._stands = self._search.winner(self._stands if self._may_start else None)
        return self._stands

    def _winner(self) -> int:
        """The furthest trial of the winner."""
        winner = self._standing()
        its = [number for number, one in enumerate(self._trials) if one.configuration == winner]
        return max(its, key=lambda number: len(self._trials[number].recalls))

    def _resume(self, trial: int) -> Job:
        self._trials[trial] = self._trials[trial]._replace(running=True, resumable=False)
        return self._job(trial)

    def _start(self, configuration: Configuration) -> Job:
        self._trials.append(Trial(configuration, running=True))
        return self._job(len(self._trials) - 1)

    def _job(self, trial: int) -> Job:
        return Job(trial, self._trials[trial].configuration)

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        known = self._trials[trial]
        known = known._replace(
            recalls=(*known.recalls, PERCENT * recall),
            seconds=(*known.seconds, seconds),
            running=False,
            resumable=epoch < self._epochs,
        )
        self._trials[trial] = known
        self._observe()
        self._search.refit()
        if not known.resumable:
            return False
        if self._has_ended():
            goes_on = trial == self._winner()
        else:
            action = self._search.ask(current=trial, may_start=self._may_start)
            goes_on = action is not None and action.trial == trial
        if goes_on:
            self._trials[trial] = known._replace(running=True, resumable=False)
        return goes_on

    def recommend(self) -> Params:
        self._observe()
        return self._standing()

    def chance_of_better(self, delta: float, epsilon: float, rng: np.random.Generator) -> float:
        """The probability that one is better than the winner by more than ``delta``."""
        self._observe()
        return self._search.chance_of_better(self._search.winner(self._stands), delta, epsilon, rng)

    def taught(self, name: str) -> EarlierStudy:
        """What this search teaches a later one."""
        self._observe()
        return learn_from(name, self._search.candidates, self._search.views, self._epochs)


class RandomTrials(FreezeThaw):
    """Full runs of configurations drawn at random, and the winner that our model gives to them.

    What it lacks to `FreezeThaw` is the choice of trials alone; what it has beyond plain random
    search, the winner.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._ended = 0
        configurations = self._search.candidates.configurations
        order = self._rng.permutation(len(configurations))
        self._queue = [configurations[row] for row in order]

    @override
    def next(self) -> Job | None:
        return self._start(self._queue.pop()) if self._queue else None

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
        ended = sum(not trial.running for trial in self._trials)
        if ended > self._ended or self._stands is None:
            self._ended = ended
            self._observe()
            self._search.refit()
            return self._standing()
        return self._stands


def _search_before(table: Table, seed: int) -> EarlierStudy:
    search = FreezeThaw(Problem(table.space, table.epochs, 1), seed)
    Simulation(table, search, workers=1, budget=_EARLIER_BUDGET, seed=seed).run()
    return search.taught(table.name)


def build(method: str, problem: Problem, seed: int) -> Search:
    """The method "freeze-thaw", or "random-model-answer" for `RandomTrials`.

    "freeze-thaw-warm" is freeze-thaw after a search of another table, and so is
    "freeze-thaw-misled", which takes that table's good configurations for bad, and the bad for
    good.
    """
    if method == "random-model-answer":
        return RandomTrials(problem, seed)
    if problem.earlier is None or method == "freeze-thaw":
        return FreezeThaw(problem, seed)
    earlier = _search_before(problem.earlier, seed)
    if method == "freeze-thaw-misled":
        earlier = earlier._replace(weights_BV=-earlier.weights_BV)
    return FreezeThaw(problem, seed, [earlier])
