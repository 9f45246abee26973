"""SMAC3's multi-fidelity facade: Hyperband whose configurations a random forest proposes."""

import logging
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import MultiFidelityFacade, Scenario
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.runhistory import TrialInfo, TrialValue

from benchmarks.search.columns import Params, Value
from benchmarks.search.methods.listed import ListedPoints
from benchmarks.search.simulator import Job, Problem, Search
from histsearch.freeze_thaw.parameters import Choices, Parameter


def build(method: str, problem: Problem, seed: int) -> Search:  # noqa: ARG001
    logging.getLogger("smac").setLevel(logging.ERROR)
    return SmacSearch(problem, seed)


class SmacSearch(Search):
    """Asks for a configuration and its budget, and goes on with it where an earlier one left off.

    It recommends SMAC's incumbent, the best of those with the highest budget so far. Before there
    is one, the configuration that reported last.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self._names = list(problem.space.parameters)
        self._points = ListedPoints(problem.space)
        self._trained: dict[tuple[Value, ...], Params] = {}
        # SMAC writes its state there in any case; the folder goes with this object.
        self._folder = TemporaryDirectory()
        self._smac = MultiFidelityFacade(
            Scenario(
                _space(problem.space.parameters),
                output_directory=self._folder.name,
                min_budget=1,
                max_budget=problem.epochs,
                seed=seed,
            ),
            logging_level=False,
        )
        self._trials: dict[tuple[Value, ...], int] = {}
        self._running: dict[int, TrialInfo] = {}
        self._seconds: dict[int, float] = {}
        self._last: Params = {}

    def next(self) -> Job | None:
        try:
            info = self._smac.ask()
        except (StopIteration, ConfigurationSpaceExhaustedException):
            return None
        proposal = self._proposal(info)
        key = tuple(proposal.values())
        if key not in self._trained:
            self._trained[key] = self._points.take(proposal)
        params = self._trained[key]
        trial = self._trials.setdefault(tuple(params.values()), len(self._trials))
        self._running[trial] = info
        self._seconds[trial] = 0.0
        return Job(trial, params)

    def _proposal(self, info: TrialInfo) -> Params:
        return {name: info.config[name] for name in self._names}

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:
        info = self._running[trial]
        self._last = self._trained[tuple(self._proposal(info).values())]
        self._seconds[trial] += seconds
        # Hyperband's budgets are fractions of the longest, such as 4/3 epochs.
        if epoch < round(info.budget):
            return True
        self._smac.tell(info, TrialValue(cost=1 - recall, time=self._seconds[trial]), save=False)
        return False

    def recommend(self) -> Params:
        incumbent = self._smac.intensifier.get_incumbent()
        if incumbent is None:
            return self._last
        return self._trained[tuple(incumbent[name] for name in self._names)]


def _space(parameters: Mapping[str, Parameter]) -> ConfigurationSpace:
    space = ConfigurationSpace()
    for name, one in parameters.items():
        space.add(_hyperparameter(name, one))
    return space


def _hyperparameter(name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choices):
        ordered = all(isinstance(value, int | float) for value in parameter.values)
        kind = OrdinalHyperparameter if ordered else CategoricalHyperparameter
        return kind(name, parameter.values)
    low, high = parameter.low, parameter.high
    if parameter.whole:
        return UniformIntegerHyperparameter(name, int(low), int(high), log=parameter.log)
    return UniformFloatHyperparameter(name, low, high, log=parameter.log)
