"""Optuna's trials as a freeze-thaw search is shown them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.trials import Trial
from histsearch.search.freeze_thaw_parameters import space_of

PERCENT = 100.0

# Attributes of a trial.
WARMUP_SECONDS = "warmup_seconds"
EPOCH_SECONDS = "epoch_seconds"
DIVERGED = "diverged"
PAUSED = "paused"
TO_THE_END = "to_the_end"
FOLD = "fold"


def fold_of(trial: FrozenTrial, folds: int) -> int | None:
    """The fold that a trial validates on, from 0 on; None for none yet, or for none there is.

    Args:
        trial: The trial; anybody may have queued it, with any attribute.
        folds: How many there are; of one fold no attribute is read.
    """
    return checked_fold(trial.user_attrs.get(FOLD), folds)


def checked_fold(fold: object, folds: int) -> int | None:
    """The fold that a trial's attribute `FOLD` names; as `fold_of`."""
    if folds == 1:
        return 0
    # A switch is a whole number to Python, and 1.0 equals 1.
    return fold if type(fold) is int and fold in range(folds) else None


class TrialReader:
    """Reads the trials of one study for its search, each again only where it is another object.

    So a trial mustn't be changed once it was read.

    Args:
        distributions: The searched parameters.
        epochs: Epochs of a full run; later ones don't count.
        folds: Folds that trials validate on.

    Attributes:
        space: The searched parameters.
    """

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], epochs: int, folds: int
    ) -> None:
        self.space = space_of(distributions)
        self._epochs = epochs
        self._folds = folds
        self._known: dict[int, tuple[FrozenTrial, int, Trial | None]] = {}

    def read(self, trials: Sequence[FrozenTrial]) -> dict[int, Trial]:
        """Those trials, by number, that have all searched parameters."""
        known = self._known
        seen = {id(trial): known.get(id(trial)) or self._first_sight(trial) for trial in trials}
        # What is kept here is referred to, so that no other object comes to have its identity.
        self._known = seen
        return {number: shown for _, number, shown in seen.values() if shown is not None}

    def _first_sight(self, trial: FrozenTrial) -> tuple[FrozenTrial, int, Trial | None]:
        holds = self.space.holds(trial.params)
        shown = read_trial(trial, self.space, self._epochs, self._folds) if holds else None
        return trial, trial.number, shown


def read_trial(trial: FrozenTrial, space: SearchSpace, epochs: int, folds: int) -> Trial:
    """A trial whose parameters the space holds; a score in [0, 1] becomes percent.

    Args:
        trial: The trial.
        space: The searched parameters.
        epochs: Epochs of a full run; later ones don't count.
        folds: Folds that trials validate on.
    """
    recalls: list[float] = []
    while len(recalls) < epochs and len(recalls) + 1 in trial.intermediate_values:
        value = trial.intermediate_values[len(recalls) + 1]
        if not np.isfinite(value):
            break
        recalls.append(PERCENT * value)
    waits = trial.state == TrialState.WAITING
    paused = bool(trial.user_attrs.get(PAUSED))
    return Trial(
        space.part(trial.params),
        tuple(recalls),
        _seconds(trial, len(recalls)),
        # One that waits without being paused comes again by itself.
        running=trial.state == TrialState.RUNNING or (waits and not paused),
        resumable=waits and paused,
        failed=trial.state == TrialState.FAIL or bool(trial.user_attrs.get(DIVERGED)),
        fold=fold_of(trial, folds) or 0,
    )


def _seconds(trial: FrozenTrial, epochs: int) -> tuple[float, ...]:
    """Of each epoch, the first with the warm-up; none where they weren't recorded."""
    recorded: Any = trial.user_attrs.get(EPOCH_SECONDS, [])
    seconds = [float(one) for one in recorded][:epochs]
    if not seconds or not np.isfinite(seconds).all() or min(seconds) <= 0.0:
        return ()
    seconds[0] += float(trial.user_attrs.get(WARMUP_SECONDS, 0.0))
    return tuple(seconds)
