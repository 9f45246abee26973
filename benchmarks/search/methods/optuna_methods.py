"""Optuna's searches, asked and told as its documentation shows.

The values of a list are given as a categorical distribution, as its users give a finite list, and a
range as a range. GPSampler, which takes categorical values for words without an order, gets the
places of a list's values as integers: it is stronger with them. TPE isn't (methods.md). Where a
table lists its points, a proposal becomes the nearest point that wasn't taken before the trial
begins, so that the sampler learns from what was trained. What a method's name leaves open is as
Optuna's defaults have it. ``tpe-multivariate-median`` is Optuna 5 left alone;
``tpe-multivariate-median-warmup`` has the settings of a space's ``sampler = "tpe"`` here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from typing_extensions import override

from benchmarks.search.columns import Params
from benchmarks.search.methods.listed import ListedPoints
from benchmarks.search.simulator import Job, Problem, Search
from histsearch.freeze_thaw.parameters import Choices, Parameter


def build(method: str, problem: Problem, seed: int) -> Search:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    coding = _Coding(problem.space.parameters, by_place=method == "gp-halving")
    sampler = _sampler(method, seed)
    if problem.space.listed is not None:
        sampler = _ListedSampler(sampler, coding, ListedPoints(problem.space))
    study = optuna.create_study(
        sampler=sampler,
        pruner=_pruner(method, problem.epochs),
        direction="maximize",
        # HyperbandPruner draws a trial's bracket from the name, which is random by default; another
        # name than this one gives other repeats than those that are kept.
        study_name=f"tpe-hyperband-{seed}",
    )
    return OptunaSearch(study, problem, coding)


def _sampler(method: str, seed: int) -> BaseSampler:
    if method == "random":
        return RandomSampler(seed)
    if method == "gp-halving":
        return GPSampler(seed=seed, deterministic_objective=False)
    # Since 5.0, constant_liar, which is advised for several workers, is on by default; so is
    # multivariate.
    return TPESampler(seed=seed, multivariate=method != "tpe-univariate-median")


def _pruner(method: str, epochs: int) -> BasePruner:
    if method == "random":
        return NopPruner()
    if method == "gp-halving":
        return SuccessiveHalvingPruner()
    if method == "tpe-multivariate-hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    if method == "tpe-multivariate-median-warmup":
        return MedianPruner(n_warmup_steps=max(1, epochs // 5))
    return MedianPruner()


class _Coding:
    """A space as Optuna is given it.

    Args:
        parameters: The space's.
        by_place: Whether the values of a list are given by their places.
    """

    def __init__(self, parameters: Mapping[str, Parameter], *, by_place: bool) -> None:
        self._values = {
            name: one.values
            for name, one in parameters.items()
            if by_place and isinstance(one, Choices)
        }
        self.distributions = {
            name: self._distribution(name, one) for name, one in parameters.items()
        }

    def _distribution(self, name: str, parameter: Parameter) -> BaseDistribution:
        if isinstance(parameter, Choices):
            if name in self._values:
                return IntDistribution(0, len(parameter.values) - 1)
            return CategoricalDistribution(parameter.values)
        low, high = parameter.low, parameter.high
        if parameter.whole:
            return IntDistribution(int(low), int(high), log=parameter.log)
        return FloatDistribution(low, high, log=parameter.log)

    def params(self, suggested: Mapping[str, Any]) -> Params:
        """A configuration from what Optuna suggests."""
        return {
            name: self._values[name][value] if name in self._values else value
            for name, value in suggested.items()
        }

    def suggested(self, params: Params) -> dict[str, Any]:
        """What Optuna would have suggested for a configuration."""
        return {
            name: self._values[name].index(value) if name in self._values else value
            for name, value in params.items()
        }


class _ListedSampler(BaseSampler):
    """A sampler whose proposals become listed points."""

    def __init__(self, sampler: BaseSampler, coding: _Coding, points: ListedPoints) -> None:
        self._sampler = sampler
        self._coding = coding
        self._points = points

    @override
    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._coding.distributions

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        its_own = self._sampler.infer_relative_search_space(study, trial)
        proposed = self._sampler.sample_relative(study, trial, its_own)
        for name, distribution in search_space.items():
            if name not in proposed:
                proposed[name] = self._sampler.sample_independent(study, trial, name, distribution)
        return self._coding.suggested(self._points.take(self._coding.params(proposed)))

    @override
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise ValueError(f"found {param_name}, which is no parameter of the table")

    @override
    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    @override
    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


class OptunaSearch(Search):
    """A study; it recommends its best complete trial, before that the best value of any epoch."""

    def __init__(self, study: Study, problem: Problem, coding: _Coding) -> None:
        self._study = study
        self._epochs = problem.epochs
        self._most = problem.trials
        self._coding = coding
        self._trials: dict[int, Trial] = {}
        self._best_recall = -1.0
        self._best_params: Params = {}
        self._any_complete = False

    def next(self) -> Job | None:
        if self._most is not None and len(self._trials) >= self._most:
            return None
        trial = self._study.ask(self._coding.distributions)
        self._trials[trial.number] = trial
        return Job(trial.number, self._coding.params(trial.params))

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:  # noqa: ARG002
        running = self._trials[trial]
        if recall > self._best_recall:
            self._best_recall, self._best_params = recall, self._coding.params(running.params)
        running.report(recall, epoch)
        if epoch == self._epochs:
            self._study.tell(running, recall)
            self._any_complete = True
            return False
        if running.should_prune():
            self._study.tell(running, state=TrialState.PRUNED)
            return False
        return True

    def recommend(self) -> Params:
        if self._any_complete:
            return self._coding.params(self._study.best_params)
        return self._best_params
