"""The project's sampler: the planner's choice, for Optuna and for studies with paused trials."""

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from histsearch.search.candidates import SearchSpace
from histsearch.search.experience import favourites
from histsearch.search.history import (
    PAUSED,
    History,
    draw,
    load_planner,
    read_history,
    refit,
    store_answer,
)
from histsearch.search.planner import Planner, TrialView
from histsearch.wording import counted


class HistSampler(BaseSampler):
    """Chooses by a model of all learning curves that the study's trials have shown so far.

    Made for finite, small, ordered and noisy spaces, whose trials report R@1 in [0, 1] after each
    epoch, from step 1 on. It takes a configuration again only to see it with another seed. In a
    space of more than `candidates.MOST` configurations, or with ranges of real numbers, it chooses
    from a draw of as many.

    With a plain `optuna.Study` it goes together with any pruner. Where trials can be paused,
    `resume` tells which one to go on with.

    Args:
        search_space: The parameters to search. Others are drawn at random.
        epochs: Epochs of a full run.
        seed: Fixes the choices.
        min_epochs: How long a trial runs at least; as in the `HistPruner` that goes with it.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        epochs: int,
        *,
        seed: int = 0,
        min_epochs: int | None = None,
    ) -> None:
        self._search_space = dict(search_space)
        self._epochs = epochs
        self._seed = seed
        self._min_epochs = min_epochs
        self._independent = RandomSampler(seed=seed)

    @override
    def reseed_rng(self) -> None:
        self._independent.reseed_rng()

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters, as one search space."""
        return self._search_space

    @override
    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """The configuration of a new trial, which agrees with what was enqueued for it.

        Raises:
            ValueError: the study minimises.
        """
        if study.direction != StudyDirection.MAXIMIZE:
            raise ValueError(
                "found a study that minimises; HistSampler is for R@1, create it with "
                'direction="maximize"'
            )
        others = study.get_trials(deepcopy=False)
        history, planner = self._look(study, [one for one in others if one.number != trial.number])
        store_answer(study, history, planner)
        space = SearchSpace(self._search_space)
        enqueued = space.part(trial.system_attrs.get("fixed_params", {}))
        configurations = history.candidates.configurations
        agreeing = [
            row for row, one in enumerate(configurations) if enqueued.items() <= one.items()
        ]
        # In a range hardly any candidate has just the value that was enqueued; Optuna keeps it.
        possible = agreeing or list(range(len(configurations)))
        possible = [row for row in possible if row not in history.barred] or possible
        barred = sorted({*range(len(configurations))} - {*possible} | {*history.barred})
        views = [view._replace(resumable=False) for view in history.views]
        # Where claims aren't in turn, others may be choosing at this moment: they go first.
        choosing = [
            other.number
            for other in others
            if other.state == TrialState.RUNNING
            and other.number < trial.number
            and not space.holds(other.params)
        ]
        for number in [*choosing, trial.number]:
            row = self._next(planner, views, possible, barred, number)
            views.append(TrialView(row, (), running=True))
        return configurations[views[-1].configuration]

    def _next(
        self,
        planner: Planner,
        views: Sequence[TrialView],
        possible: Sequence[int],
        barred: Sequence[int],
        number: int,
    ) -> int:
        if not any(view.recalls or view.running for view in views):
            return planner.first(possible, np.random.default_rng((self._seed, number + 1)))
        action = planner.next(views, barred=barred)
        return possible[0] if action is None else action.configuration

    @override
    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter that isn't part of the search space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def resume(self, study: optuna.Study, *, may_start: bool) -> int | None:
        """Number of the paused trial that promises more than any other and any new trial.

        Args:
            study: The study, whose paused trials wait and carry the attribute `history.PAUSED`.
            may_start: Whether a new trial could be started instead.
        """
        history, planner = self._look(study, study.get_trials(deepcopy=False))
        store_answer(study, history, planner, final=not may_start)
        return self._paused_choice(history, planner, may_start=may_start)

    def would_resume(self, study: optuna.Study, trial: FrozenTrial, *, may_start: bool) -> bool:
        """Whether `resume` would choose a running trial, were it paused after its last epoch.

        Args:
            study: The study.
            trial: The trial, with the epochs that count.
            may_start: Whether a new trial could be started instead.
        """
        left = copy(trial)
        left.state = TrialState.WAITING
        left.user_attrs = {**trial.user_attrs, PAUSED: True}
        trials = study.get_trials(deepcopy=False)
        trials = [left if one.number == trial.number else one for one in trials]
        history, planner = self._look(study, trials)
        return self._paused_choice(history, planner, may_start=may_start) == trial.number

    def _paused_choice(self, history: History, planner: Planner, *, may_start: bool) -> int | None:
        if not any(view.resumable for view in history.views):
            return None
        action = planner.next(history.views, barred=history.barred, may_start=may_start)
        if action is None or action.trial is None:
            return None
        return history.numbers[action.trial]

    def _look(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> tuple[History, Planner]:
        history = read_history(
            trials,
            self._search_space,
            self._epochs,
            draw(self._seed, trials),
            favourites(study, self._search_space),
        )
        if not any(view.recalls for view in history.views):
            _warn_of_silence(trials)
        planner = load_planner(study, history, self._epochs, self._min_epochs)
        refit(study, history, planner)
        return history, planner


def _warn_of_silence(trials: Sequence[FrozenTrial]) -> None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if complete:
        warnings.warn(
            f"found {counted(len(complete), 'complete trial')} that reported no R@1 after epoch 1, "
            "2, ...; HistSampler learns from these alone: call trial.report(recall, epoch)",
            stacklevel=2,
        )
