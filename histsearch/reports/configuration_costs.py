"""What each configuration of a study cost, as Table 7 of Yuan & Le-Phuoc (2023) has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from histsearch.reports.cost import seconds_saved
from histsearch.studies import trial_record
from histsearch.studies.chosen_configurations import planned
from histsearch.studies.hours import hours_taken, in_hours, seconds_taken


@dataclass(frozen=True)
class ConfigurationCost:
    """Device time of a configuration's trials.

    Attributes:
        parameters: The configuration; empty of trials of several.
        trials: Its trials.
        complete: Those of them that ran to their end.
        epochs: Epochs that they trained.
        hours_a_run: Mean over those that ran to their end; None where none did.
        hours_spent: Hours of all of them.
        hours_saved: Hours that those given up would have gone on.
    """

    parameters: Mapping[str, Any]
    trials: int
    complete: int
    epochs: int
    hours_a_run: float | None
    hours_spent: float
    hours_saved: float


def configuration_costs(trials: Sequence[FrozenTrial], epochs: int) -> list[ConfigurationCost]:
    """What each configuration of some trials cost, that which cost most first.

    Args:
        trials: Those of a study.
        epochs: Full length of a trial; 0 in a retraining, which gives none up.
    """
    groups: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        groups.setdefault(repr(sorted(_parameters(trial).items())), []).append(trial)
    costs = [
        replace(trials_cost(group, epochs), parameters=_parameters(group[0]))
        for group in groups.values()
    ]
    return sorted(costs, key=lambda one: -one.hours_spent)


def trials_cost(trials: Sequence[FrozenTrial], epochs: int) -> ConfigurationCost:
    """What some trials cost together; the arguments are those of `configuration_costs`."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    seconds = seconds_taken(complete)
    return ConfigurationCost(
        parameters={},
        trials=len(trials),
        complete=len(complete),
        epochs=sum(len(trial.user_attrs.get(trial_record.EPOCH_SECONDS, ())) for trial in trials),
        hours_a_run=in_hours(fmean(seconds)) if seconds else None,
        hours_spent=hours_taken(trials),
        hours_saved=in_hours(sum(seconds_saved(trial, epochs) for trial in trials)),
    )


def _parameters(trial: FrozenTrial) -> dict[str, Any]:
    return {name: value for name, value in planned(trial).items() if name != trial_record.SEED}
