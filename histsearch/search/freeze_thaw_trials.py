"""Optuna's trials as a freeze-thaw search is shown them."""

from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.trials import Trial

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
