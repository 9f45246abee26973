"""Freeze-thaw as a pruner of Optuna: leave a trial when something else promises more."""

from collections.abc import Callable, Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial
from typing_extensions import override

from histsearch.search.freeze_thaw_trials import TO_THE_END, TrialReader, without


class FreezeThawPruner(BasePruner):
    """Leaves a trial when the search of `FreezeThawSampler` would rather train something else.

    A worker that can save a trial's state pauses it then, and may come back to it; without that,
    Optuna ends it.

    Args:
        search_space: The parameters that are searched.
        epochs: Epochs of a full run.
        min_epochs: How long a trial runs at least; the square root of ``epochs`` when left out.
        folds: Folds that trials validate on, each with the attribute `freeze_thaw_trials.FOLD`.
        may_start: Whether a new trial could be started instead.
        reader: Reads the study's trials, where it can remember them from one question to the next.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        epochs: int,
        *,
        min_epochs: int | None = None,
        folds: int = 1,
        may_start: Callable[[], bool] = lambda: True,
        reader: TrialReader | None = None,
    ) -> None:
        self._reader = reader
        self._search_space = dict(search_space)
        self._epochs = epochs
        self._min_epochs = min_epochs
        self._folds = folds
        self._may_start = may_start

    @override
    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to leave the trial after its last reported epoch."""
        step = trial.last_step
        if step is None or step >= self._epochs:
            return False
        if trial.user_attrs.get(TO_THE_END):
            return False
        # Takes half a second to import, which whoever prunes nothing is spared.
        from histsearch.search.freeze_thaw_study import FreezeThawStudy

        trials = [*without(trial.number, study.get_trials(deepcopy=False)), trial]
        read = FreezeThawStudy.read(
            study,
            trials,
            self._reader or TrialReader(self._search_space, self._epochs, self._folds),
            self._epochs,
            seed=trial.number,
            min_epochs=self._min_epochs,
            folds=self._folds,
        )
        at_hand = read.index(trial.number)
        if at_hand is None:
            return False
        read.refit()
        action = read.search.ask(current=at_hand, may_start=self._may_start())
        return action is not None and action.trial != at_hand
