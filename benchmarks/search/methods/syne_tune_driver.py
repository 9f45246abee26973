"""Runs a scheduler of Syne Tune, of either release, as its tuner does."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion
from syne_tune.utils import streamline_config_space

from benchmarks.search.columns import Params, Value
from benchmarks.search.methods.listed import ListedPoints
from benchmarks.search.simulator import Job, Problem, Search
from histsearch.freeze_thaw.parameters import Choices, Parameter

METRIC = "recall"
RESOURCE = "epoch"


def make_space(problem: Problem) -> dict[str, Any]:
    """The space as Syne Tune's authors advise.

    Their own function turns a list of numbers into a finite range or an ordinal one, linear or
    logarithmic, whichever its spacing suits.
    """
    space: dict[str, Any] = streamline_config_space(
        {name: _domain(one) for name, one in problem.space.parameters.items()}
    )
    return space


def _domain(parameter: Parameter) -> Any:
    if isinstance(parameter, Choices):
        return choice(_of_one_type(parameter.values))
    if parameter.whole:
        return (lograndint if parameter.log else randint)(int(parameter.low), int(parameter.high))
    return (loguniform if parameter.log else uniform)(parameter.low, parameter.high)


def _of_one_type(values: tuple[Value, ...]) -> list[Value]:
    if any(isinstance(value, float) for value in values):
        return [float(value) for value in values]
    return list(values)


class SyneTuneSearch(Search):
    """A scheduler under test; it recommends the highest value that any epoch of a trial reported.

    Args:
        scheduler: Maximizes ``METRIC`` over trials that report ``RESOURCE``.
        suggest: Its method, given the number that a new trial would have.
        problem: What is searched.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        suggest: Callable[[int], TrialSuggestion | None],
        problem: Problem,
    ) -> None:
        self._scheduler = scheduler
        self._suggest = suggest
        self._problem = problem
        self._points = ListedPoints(problem.space)
        self._trials: list[Trial] = []
        self._trained: list[Params] = []
        self._best_recall = -1.0
        self._best_params: Params = {}

    def next(self) -> Job | None:
        suggestion = self._suggest(len(self._trials))
        if suggestion is None:
            return None
        if suggestion.spawn_new_trial_id:
            trial = Trial(len(self._trials), suggestion.config, datetime.now(UTC))
            self._trials.append(trial)
            self._trained.append(self._points.take(self._params(trial)))
            self._scheduler.on_trial_add(trial=trial)
        else:
            trial = self._trials[suggestion.checkpoint_trial_id]
        return Job(trial.trial_id, self._trained[trial.trial_id])

    def _params(self, trial: Trial) -> Params:
        """Its configuration; a finite range has its values from a fit, so that they are inexact."""
        return {
            name: _nearest(trial.config[name], one.values)
            if isinstance(one, Choices)
            else trial.config[name]
            for name, one in self._problem.space.parameters.items()
        }

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:  # noqa: ARG002
        running = self._trials[trial]
        if recall > self._best_recall:
            self._best_recall, self._best_params = recall, self._trained[trial]
        result = {METRIC: recall, RESOURCE: epoch}
        decision = self._scheduler.on_trial_result(trial=running, result=result)
        if decision != SchedulerDecision.CONTINUE:
            self._scheduler.on_trial_remove(trial=running)
            return False
        if epoch == self._problem.epochs:
            self._scheduler.on_trial_complete(trial=running, result=result)
        return True

    def recommend(self) -> Params:
        return self._best_params


def _nearest(value: Value, values: tuple[Value, ...]) -> Value:
    if isinstance(value, str | bool):
        return value
    numbers = [number for number in values if isinstance(number, int | float)]
    return min(numbers, key=lambda number: abs(number - value))
