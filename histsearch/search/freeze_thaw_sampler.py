"""Freeze-thaw as a sampler of Optuna, for studies with paused trials too."""

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

from histsearch.search.freeze_thaw_study import FreezeThawStudy
from histsearch.search.freeze_thaw_trials import PAUSED, TrialReader, replaced, without
from histsearch.search.standing import Standing
from histsearch.wording import counted


class FreezeThawSampler(BaseSampler):
    """Chooses by a model of all learning curves that the study's trials have shown so far.

    Made for finite, small, ordered and noisy spaces, whose trials report a score in [0, 1] after
    each epoch, from step 1 on. It takes a configuration again only to see it with another seed. In
    a space of more than `candidates.MOST` configurations, or with ranges of real numbers, it
    chooses from a draw of as many.

    With a plain `optuna.Study` it goes together with any pruner. Where trials can be paused,
    `resume` tells which one to go on with.

    Args:
        search_space: The parameters to search. Others are drawn at random.
        epochs: Epochs of a full run.
        seed: Fixes the choices.
        min_epochs: How long a trial runs at least; as in the `FreezeThawPruner` that goes with it.
        folds: Folds that trials validate on, each with the attribute `freeze_thaw_trials.FOLD`.
        reader: Reads the study's trials, where it can remember them from one question to the next.

    Attributes:
        standing: How the study's configurations stood at its last choice; None before one.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        epochs: int,
        *,
        seed: int = 0,
        min_epochs: int | None = None,
        folds: int = 1,
        reader: TrialReader | None = None,
    ) -> None:
        self._kept_reader = reader
        self._search_space = dict(search_space)
        self._epochs = epochs
        self._seed = seed
        self._min_epochs = min_epochs
        self._folds = folds
        self._independent = RandomSampler(seed=seed)
        self.standing: Standing | None = None

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
            ValueError: The study minimises.
        """
        if study.direction != StudyDirection.MAXIMIZE:
            raise ValueError(
                "found a study that minimises; FreezeThawSampler maximises, create it with "
                'direction="maximize"'
            )
        others = without(trial.number, study.get_trials(deepcopy=False))
        read = self._read(study, others)
        self.standing = read.store_winner()
        space = self._reader().space
        # Where claims aren't in turn, others may be choosing at this moment: they go first.
        choosing = [
            other.number
            for other in others
            if other.state == TrialState.RUNNING
            and other.number < trial.number
            and not space.holds(other.params)
        ]
        # Optuna keeps an enqueued value, whether or not a candidate has it.
        return read.search.ask_for_new(
            [
                np.random.default_rng((self._seed, number + 1))
                for number in (*choosing, trial.number)
            ],
            fixed=space.part(trial.system_attrs.get("fixed_params", {})),
        )

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
            study: The study, whose paused trials wait and carry the attribute `PAUSED`.
            may_start: Whether a new trial could be started instead.
        """
        read = self._read(study, study.get_trials(deepcopy=False))
        self.standing = read.store_winner(final=not may_start)
        return _paused_choice(read, may_start=may_start)

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
        trials = replaced(left, study.get_trials(deepcopy=False))
        return _paused_choice(self._read(study, trials), may_start=may_start) == trial.number

    def _reader(self) -> TrialReader:
        return self._kept_reader or TrialReader(self._search_space, self._epochs, self._folds)

    def _read(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> FreezeThawStudy:
        read = FreezeThawStudy.read(
            study,
            trials,
            self._reader(),
            self._epochs,
            seed=self._seed,
            min_epochs=self._min_epochs,
            folds=self._folds,
        )
        if not read.search.has_epochs:
            _warn_of_silence(trials)
        read.refit()
        return read


def _paused_choice(read: FreezeThawStudy, *, may_start: bool) -> int | None:
    if not any(view.resumable for view in read.search.views):
        return None
    action = read.search.ask(may_start=may_start)
    if action is None or action.trial is None:
        return None
    return read.numbers[action.trial]


def _warn_of_silence(trials: Sequence[FrozenTrial]) -> None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if complete:
        warnings.warn(
            f"found {counted(len(complete), 'complete trial')} that reported no score after epoch "
            "1, 2, ...; FreezeThawSampler learns from these alone: call trial.report(score, epoch)",
            stacklevel=2,
        )
