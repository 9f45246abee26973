"""Sums over the trials of studies, made by the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import text

from histsearch.database.json_values import list_length, number
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.study import Study

_SUMS = text(
    f"""
    SELECT study_id, state, count(*) AS trials, count(seconds.number) AS timed,
        count(*) FILTER (
            WHERE state = 'WAITING' AND paused.value_json = 'true'
            AND to_the_end.value_json IS DISTINCT FROM 'true'
        ) AS paused,
        coalesce(sum(seconds.number), 0) AS seconds, coalesce(sum(retries.number), 0) AS retries,
        coalesce(bool_or(accelerated.value_json = 'true'), false) AS accelerated
    FROM trials
    LEFT JOIN LATERAL (
        SELECT {number("value_json")} AS number
        FROM trial_user_attributes
        WHERE trial_id = trials.trial_id AND key = :seconds
    ) AS seconds ON true
    LEFT JOIN LATERAL (
        SELECT {list_length("value_json")} AS number
        FROM trial_user_attributes
        WHERE trial_id = trials.trial_id AND key = :retries
    ) AS retries ON true
    LEFT JOIN trial_user_attributes AS accelerated
        ON accelerated.trial_id = trials.trial_id AND accelerated.key = :accelerated
    LEFT JOIN trial_user_attributes AS paused
        ON paused.trial_id = trials.trial_id AND paused.key = :paused
    LEFT JOIN trial_user_attributes AS to_the_end
        ON to_the_end.trial_id = trials.trial_id AND to_the_end.key = :to_the_end
    WHERE study_id = ANY(:study_ids)
    GROUP BY study_id, state
    """  # noqa: S608
)
_EPOCHS = text(
    "SELECT count(*) FROM trials JOIN trial_intermediate_values USING (trial_id) "
    "WHERE study_id = :study_id"
)


@dataclass(frozen=True)
class TrialSums:
    """Sums over the trials of a study.

    Attributes:
        states: Number of trials in each state, those of none left out.
        seconds: What all trials have taken.
        finished_seconds: What the finished ones have taken.
        timed: Number of finished trials of which that is known.
        retries: Attempts that failed and were made good by another, so far.
        accelerated: Whether a GPU did some of the work.
        paused: Of those that wait, the number of paused ones.
    """

    states: Mapping[TrialState, int] = field(default_factory=dict)
    seconds: float = 0.0
    finished_seconds: float = 0.0
    timed: int = 0
    retries: int = 0
    accelerated: bool = False
    paused: int = 0

    @property
    def finished(self) -> int:
        """Number of trials that have ended, whichever way."""
        return sum(number for state, number in self.states.items() if state.is_finished())

    def by_name(self) -> dict[str, int]:
        """Number of trials in each state by its name, those of none left out.

        Those that are paused count as "PAUSED", and not as "WAITING".
        """
        counts = {state.name: self.states[state] for state in TrialState if state in self.states}
        if self.paused:
            counts = {"PAUSED": self.paused, **counts}
            counts[TrialState.WAITING.name] -= self.paused
        return {name: count for name, count in counts.items() if count}


def sum_trials(storage: Storage, study_ids: Sequence[int]) -> dict[int, TrialSums]:
    """Sums over the trials of some studies, by the studies' keys."""
    names = {
        "seconds": trial_record.SECONDS,
        "retries": trial_record.RETRIES,
        "accelerated": trial_record.ACCELERATED,
        "paused": trial_record.PAUSED,
        "to_the_end": trial_record.TO_THE_END,
    }
    with storage.singly() as connection:
        rows = connection.execute(_SUMS, {"study_ids": list(study_ids), **names}).all()
    return {key: _sum([row for row in rows if row.study_id == key]) for key in study_ids}


def _sum(rows: Sequence[Any]) -> TrialSums:
    finished = [row for row in rows if TrialState[row.state].is_finished()]
    return TrialSums(
        states={TrialState[row.state]: row.trials for row in rows},
        seconds=sum(row.seconds for row in rows),
        finished_seconds=sum(row.seconds for row in finished),
        timed=sum(row.timed for row in finished),
        retries=sum(int(row.retries) for row in rows),
        accelerated=any(row.accelerated for row in rows),
        paused=sum(row.paused for row in rows),
    )


def sums_of(study: Study) -> TrialSums:
    """Sums over the trials of one study."""
    return sum_trials(study.storage, [study.id])[study.id]


def count_epochs(study: Study) -> int:
    """How many epochs the trials of a study have reported."""
    with study.storage.singly() as connection:
        return int(connection.execute(_EPOCHS, {"study_id": study.id}).scalar_one())
