"""What a study cost, and what pruning saved it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from histsearch.studies import trial_record
from histsearch.studies.hours import hours_taken, hours_unit, in_hours
from histsearch.wording import counted

_THREE_DIGITS = 999.5


@dataclass(frozen=True)
class Cost:
    """Device time of a study's trials.

    Attributes:
        hours_spent: Hours of one device, summed over the trials.
        hours_saved: Hours that pruned trials would have gone on, at their own pace.
        accelerated: Whether the hours are GPU-hours.
    """

    hours_spent: float
    hours_saved: float
    accelerated: bool

    @property
    def unit(self) -> str:
        """What the hours are hours of."""
        return hours_unit(accelerated=self.accelerated)

    def amount(self, hours: float) -> str:
        """Hours in words, such as "12.3 GPU-hours"."""
        return hours_text(hours, self.unit)


def hours_text(hours: float, unit: str) -> str:
    """Hours in words, with three digits: "12.3 GPU-hours", "0.0312 CPU hours"."""
    written = f"{hours:.3g}" if hours < _THREE_DIGITS else f"{hours:,.0f}"
    return counted(written, unit.removesuffix("s"))


def cost(trials: Sequence[FrozenTrial], epochs: int) -> Cost:
    """Add up the trials of a study whose full length is ``epochs``."""
    return Cost(
        hours_spent=hours_taken(trials),
        hours_saved=in_hours(sum(seconds_saved(trial, epochs) for trial in trials)),
        accelerated=any(trial.user_attrs.get(trial_record.ACCELERATED, False) for trial in trials),
    )


def seconds_saved(trial: FrozenTrial, epochs: int) -> float:
    """Seconds that a trial would have gone on for, had it not been pruned, at its own pace."""
    seconds: list[float] = trial.user_attrs.get(trial_record.EPOCH_SECONDS, [])
    if trial.state != TrialState.PRUNED or not seconds:
        return 0.0
    return max(epochs - len(seconds), 0) * statistics.fmean(seconds)
