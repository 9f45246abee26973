"""Optuna's trials as a freeze-thaw search is shown them."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, cast

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


class ShownTrials(NamedTuple):
    """A study's trials as its search is shown them, those with all searched parameters.

    Attributes:
        numbers: Their numbers.
        trials: As many trials.
        begun: How many trials there are, the others included.
        epochs: How many epochs all of them have reported.
    """

    numbers: list[int]
    trials: list[Trial]
    begun: int
    epochs: int


class _Shown(NamedTuple):
    """A trial as it is read, None without all searched parameters, and what it was read from."""

    source: FrozenTrial
    number: int
    trial: Trial | None
    epochs: int


_MOST_KNOWN = 2  # times as many as there are: those that have changed since are remembered too
_NUMBER, _TRIAL, _EPOCHS = (itemgetter(place) for place in (1, 2, 3))


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
        self._known: dict[int, _Shown] = {}
        self._lack_some = False

    def read(self, trials: Sequence[FrozenTrial]) -> ShownTrials:
        """Read all trials of a study."""
        # A verdict waits for this, so the loops over all trials are Python's own.
        keys = list(map(id, trials))
        shown = list(map(self._known.get, keys))
        for place in [place for place, one in enumerate(shown) if one is None]:
            shown[place] = self._first_sight(trials[place])
        known = cast(list[_Shown], shown)
        if len(self._known) > _MOST_KNOWN * len(known):
            self._known = dict(zip(keys, known, strict=True))
        usable = [one for one in known if one.trial is not None] if self._lack_some else known
        return ShownTrials(
            list(map(_NUMBER, usable)),
            list(map(_TRIAL, usable)),
            len(known),
            sum(map(_EPOCHS, known)),
        )

    def _first_sight(self, trial: FrozenTrial) -> _Shown:
        holds = self.space.holds(trial.params)
        shown = read_trial(trial, self.space, self._epochs, self._folds) if holds else None
        self._lack_some = self._lack_some or shown is None
        # It refers to the trial, so that no other object comes to have that identity.
        known = _Shown(trial, trial.number, shown, len(trial.intermediate_values))
        self._known[id(trial)] = known
        return known


def without(number: int, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """A study's trials but for one."""
    if _stands_at(number, trials):
        return [*trials[:number], *trials[number + 1 :]]
    return [trial for trial in trials if trial.number != number]


def replaced(by: FrozenTrial, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """A study's trials with another in the place of that with its number."""
    if _stands_at(by.number, trials):
        return [*trials[: by.number], by, *trials[by.number + 1 :]]
    return [by if trial.number == by.number else trial for trial in trials]


def _stands_at(number: int, trials: Sequence[FrozenTrial]) -> bool:
    """Whether the trial of a number is where it is in a study of which nobody removed one."""
    return number < len(trials) and trials[number].number == number


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
