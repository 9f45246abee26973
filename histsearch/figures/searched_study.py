"""What the figures of a search show of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from histsearch.space.parameters import Parameter
from histsearch.studies.stages import TrialStage
from histsearch.studies.study import Study


@dataclass(frozen=True)
class SearchedTrial:
    """A trial of a search.

    Attributes:
        number: Its number within its study.
        stage: Where it is between its queue and its result.
        params: Its parameters.
        curve: Its score after each epoch, in [0, 1]; None where that is no finite number.
        score: Its best score; None where it has none.
        hours: Device-hours that it is charged for; 0 where it never ran.
        ended: When its last attempt ended, by the database's clock; None where none has.
    """

    number: int
    stage: TrialStage
    params: Mapping[str, Any]
    curve: Sequence[float | None]
    score: float | None
    hours: float
    ended: datetime | None


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


def searched_study(study: Study, winner: Mapping[str, Any] | None) -> SearchedStudy:
    """What the figures show of a search; its trials are read at once.

    Args:
        study: The search, or a retraining, which has no trials of a search.
        winner: The winner's configuration; None where there is none yet.
    """
    raise NotImplementedError
