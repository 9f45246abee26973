"""Optuna's searches, asked and told as its documentation shows.

The values of a parameter are given as a categorical distribution, as its users give a finite list.
GPSampler, which takes such values for words without an order, gets their places as integers: it is
stronger with them. TPE isn't (methods.md). What a method's name leaves open is as Optuna's defaults
have it. ``tpe-multivariate-median`` is Optuna 5 left alone; ``tpe-multivariate-median-warmup`` has
the settings of a space's ``sampler = "tpe"`` here.
"""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from benchmarks.search.simulator import Job, Problem, Search
from benchmarks.search.table import Params


def build(method: str, problem: Problem, seed: int) -> Search:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=_sampler(method, seed),
        pruner=_pruner(method, problem.epochs),
        direction="maximize",
        # HyperbandPruner draws a trial's bracket from the name, which is random by default; another
        # name than this one gives other repeats than those that are kept.
        study_name=f"tpe-hyperband-{seed}",
    )
    return OptunaSearch(study, problem, by_place=method == "gp-halving")


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


class OptunaSearch(Search):
    """A study; it recommends its best complete trial, before that the best value of any epoch."""

    def __init__(self, study: Study, problem: Problem, *, by_place: bool) -> None:
        self._study = study
        self._epochs = problem.epochs
        self._most = problem.trials
        self._values = problem.values
        self._by_place = by_place
        self._distributions: dict[str, BaseDistribution] = {
            name: IntDistribution(0, len(values) - 1)
            if by_place
            else CategoricalDistribution(values)
            for name, values in problem.values.items()
        }
        self._trials: dict[int, Trial] = {}
        self._best_recall = -1.0
        self._best_params: Params = {}
        self._any_complete = False

    def next(self) -> Job | None:
        if self._most is not None and len(self._trials) >= self._most:
            return None
        trial = self._study.ask(self._distributions)
        self._trials[trial.number] = trial
        return Job(trial.number, self._params(trial.params))

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:  # noqa: ARG002
        running = self._trials[trial]
        if recall > self._best_recall:
            self._best_recall, self._best_params = recall, self._params(running.params)
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
        return self._params(self._study.best_params) if self._any_complete else self._best_params

    def _params(self, suggested: dict[str, Any]) -> Params:
        if not self._by_place:
            return suggested
        return {name: self._values[name][place] for name, place in suggested.items()}
