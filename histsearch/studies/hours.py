"""The time that trials have taken: what a limit counts, a status shows and a report adds up."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial

from histsearch.database.json_values import is_number
from histsearch.studies import trial_record

_SECONDS_PER_HOUR = 3600.0


def seconds_taken(trials: Iterable[FrozenTrial]) -> list[float]:
    """Seconds of each trial so far, all its attempts together; one that never ran is left out."""
    return [
        float(seconds)
        for trial in trials
        if is_number(seconds := trial.user_attrs.get(trial_record.SECONDS))
    ]


def hours_taken(trials: Iterable[FrozenTrial]) -> float:
    """Hours of one device, summed over trials."""
    return in_hours(sum(seconds_taken(trials)))


def in_hours(seconds: float) -> float:
    """Seconds as hours."""
    return seconds / _SECONDS_PER_HOUR


def in_seconds(hours: float) -> float:
    """Hours as seconds."""
    return hours * _SECONDS_PER_HOUR


def hours_unit(*, accelerated: bool) -> str:
    """What hours are hours of."""
    return "GPU-hours" if accelerated else "CPU hours"
