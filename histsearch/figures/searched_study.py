"""What the figures of a search show of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from histsearch.space.parameters import Parameter, Range
from histsearch.studies import trial_record
from histsearch.studies.attempt_times import AttemptTimes, attempt_times
from histsearch.studies.definition import StudyDefinition
from histsearch.studies.hours import hours_taken, hours_unit
from histsearch.studies.stages import TrialStage
from histsearch.studies.study import Study


@dataclass(frozen=True)
class SearchedTrial:
    """A trial of a search.

    Attributes:
        number: Its number within its study.
        stage: Where it is between its queue and its result.
        params: Its parameters.
        curve: Its score by epoch, from 1 on, in [0, 1], where that is a finite number.
        score: Its best score; None where it has none.
        hours: Device-hours that it is charged for; 0 where it never ran.
        ended: When its last attempt ended, by the database's clock; None where none has.
    """

    number: int
    stage: TrialStage
    params: Mapping[str, Any]
    curve: Mapping[int, float]
    score: float | None
    hours: float = 0.0
    ended: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it ran to its end."""
        return self.stage == TrialStage.COMPLETE


@dataclass(frozen=True)
class SearchedStudy:
    """A search and its trials.

    Attributes:
        objective: Label of the metric that is maximised.
        scored_on: What the scores are of: "validation classes" or "test classes".
        search: The values or ranges of the searched parameters.
        trials: By number.
        winner: The winner's configuration; None where there is none yet.
        hours_unit: What the hours are hours of.
    """

    objective: str
    scored_on: str
    search: Mapping[str, Parameter]
    trials: Sequence[SearchedTrial]
    winner: Mapping[str, Any] | None
    hours_unit: str

    @property
    def score_label(self) -> str:
        """What an axis of scores shows."""
        return f"{self.objective} in %, {self.scored_on}"

    @property
    def scored(self) -> list[SearchedTrial]:
        """The trials with a score, without those that failed."""
        return [
            trial
            for trial in self.trials
            if trial.score is not None and trial.stage != TrialStage.FAILED
        ]

    def is_winners(self, trial: SearchedTrial) -> bool:
        """Whether a trial is of the winner's configuration."""
        if not self.winner:
            return False
        return all(trial.params.get(name) == value for name, value in self.winner.items())

    def no_score(self, needed: int = 1) -> str | None:
        """Why there are too few scores to show; None where there are enough.

        Args:
            needed: How many trials must have one.
        """
        number = len(self.scored)
        if number >= needed:
            return None
        if not self.trials:
            return "The search has no trial yet."
        if number == 0 and len(self.trials) == 1:
            return "The search's trial has no score."
        if number == 0:
            return f"None of the search's {len(self.trials):,} trials has a score."
        return f"One trial has a score, and this figure compares {needed} or more."


def searched_study(study: Study, winner: Mapping[str, Any] | None) -> SearchedStudy:
    """What the figures show of a search; its trials are read at once.

    Args:
        study: The search; a retraining has no trials of one.
        winner: The winner's configuration; None where there is none yet.
    """
    definition = study.definition
    trials = study.trials() if definition.selects else []
    times = attempt_times(study)
    accelerated = any(trial.user_attrs.get(trial_record.ACCELERATED) for trial in trials)
    return SearchedStudy(
        study.objective.label,
        "test classes" if definition.touches_test_classes else "validation classes",
        {name: _parameter(name, one, definition) for name, one in definition.space.search.items()},
        [_trial(trial, times.get(trial._trial_id)) for trial in trials],
        winner,
        hours_unit(accelerated=accelerated),
    )


def _parameter(name: str, parameter: Parameter, definition: StudyDefinition) -> Parameter:
    """A parameter; the ends of a range that isn't of whole numbers are no whole numbers either."""
    if not isinstance(parameter, Range):
        return parameter
    whole = definition.space.parameters.is_whole(name, parameter.numbers)
    return parameter if whole else parameter.of_floats()


def _trial(trial: FrozenTrial, times: AttemptTimes | None) -> SearchedTrial:
    curve = {
        epoch: score
        for epoch, score in sorted(trial.intermediate_values.items())
        if math.isfinite(score)
    }
    values = [one for one in trial.values or () if math.isfinite(one)]
    return SearchedTrial(
        trial.number,
        TrialStage.of(trial),
        trial.params,
        curve,
        max((*values, *curve.values()), default=None),
        hours_taken([trial]),
        None if times is None else times.ended,
    )
