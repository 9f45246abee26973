"""When the attempts at a study's trials took place, by the database's clock."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from histsearch.database.tables import attempts, optuna_trials
from histsearch.studies.study import Study


@dataclass(frozen=True)
class AttemptTimes:
    """When a trial was worked on.

    Attributes:
        started: When its first attempt began.
        ended: When the last attempt that has ended did; None if none has.
    """

    started: datetime
    ended: datetime | None


def attempt_times(study: Study) -> dict[int, AttemptTimes]:
    """The times of a study's trials by their keys; a trial that no worker has had is left out."""
    query = (
        select(
            attempts.c.trial_id,
            func.min(attempts.c.started_at),
            func.max(attempts.c.ended_at),
        )
        .join(optuna_trials, optuna_trials.c.trial_id == attempts.c.trial_id)
        .where(optuna_trials.c.study_id == study.id)
        .group_by(attempts.c.trial_id)
    )
    with study.storage.begin() as connection:
        return {key: AttemptTimes(*times) for key, *times in connection.execute(query)}
