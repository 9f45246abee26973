"""The leader of a search, from its first epoch on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from histsearch.studies.standing import StoredStanding
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import TrialBrief, highest_trial
from histsearch.wording import configuration_text, counted

_CAN_WIN = (TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE)


@dataclass(frozen=True)
class Leader:
    """The configuration with the highest expected score; without a model, the highest value.

    Attributes:
        parameters: It.
        objective: Label of the metric that is maximised.
        score: What the model expects of it at the last epoch, else its highest value, in [0, 1].
        low: Lower end of the expectation's 95% interval; None without a model.
        high: Upper end.
        highest: The highest value so far.
        epochs: Epochs that stand behind it.
        trials: The trials that reported these.
        provisional: Whether no trial of it is complete, so that it can't be retrained yet.
        scatter: How far from the mean over seeds 95% of single runs end at most, in [0, 1]; None
            where that isn't known.
    """

    parameters: Mapping[str, Any]
    objective: str
    score: float
    low: float | None
    high: float | None
    highest: float
    epochs: int
    trials: int
    provisional: bool
    scatter: float | None = None

    def __str__(self) -> str:
        behind = f"{counted(self.epochs, 'epoch')} of {counted(self.trials, 'trial')}"
        if self.low is None or self.high is None:
            text = f"highest {self.objective} {self.score:.1%}, no interval without a model"
        else:
            run = "" if self.scatter is None else f"; one run ± {100 * self.scatter:.1f} points"
            text = (
                f"expected {self.objective} {self.score:.1%} over seeds "
                f"(95% interval {self.low:.1%} to {self.high:.1%}{run}), highest so far "
                f"{self.highest:.1%}"
            )
        provisional = "provisional, " if self.provisional else ""
        return f"{provisional}{text}, by {behind}: {configuration_text(self.parameters)}"


def find_leader(
    study: Study, complete: Sequence[TrialBrief], stored: StoredStanding | None
) -> Leader | None:
    """The leader of a search; None before its first epoch.

    Args:
        study: The search.
        complete: Its complete trials.
        stored: What its model thinks; None where it has none, or none was asked.
    """
    known = None if stored is None else stored.standing.leader
    if known is None:
        return _by_value(study)
    return Leader(
        known.configuration,
        study.objective.label,
        *(known.score, known.low, known.high, known.highest, known.epochs, known.trials),
        provisional=not any(is_of(trial, known.configuration) for trial in complete),
        scatter=known.scatter,
    )


def _by_value(study: Study) -> Leader | None:
    """The trial with the highest value, of those that are complete or may be yet."""
    highest = highest_trial(study, *_CAN_WIN)
    if highest is None:
        return None
    score = highest.brief.score
    return Leader(
        highest.brief.params,
        study.objective.label,
        *(score, None, None, score, highest.epochs, 1),
        provisional=highest.state != TrialState.COMPLETE,
    )


def is_of(trial: TrialBrief, configuration: Mapping[str, Any]) -> bool:
    """Whether a trial is of a configuration."""
    params = trial.params
    return all(name in params and params[name] == value for name, value in configuration.items())
