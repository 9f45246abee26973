"""Sums over the epochs that a study's trials have trained and have left, made by the database."""

from dataclasses import dataclass

from optuna.trial import TrialState
from sqlalchemy import text

from histsearch.database.json_values import number, number_texts
from histsearch.studies import trial_record
from histsearch.studies.study import Study

_SUMS = text(
    f"""
    SELECT state, coalesce(to_the_end.value_json = 'true', false) AS to_the_end,
        count(*) AS trials, count(*) FILTER (WHERE trained.epochs > 0) AS begun,
        coalesce(sum(trained.epochs), 0) AS trained, coalesce(sum(trained.seconds), 0) AS seconds,
        coalesce(sum(warmup.number), 0) AS warmup_seconds,
        sum(greatest(coalesce(own.number, :full_length) - trained.epochs, 0)) AS remaining,
        max(greatest(coalesce(own.number, :full_length) - trained.epochs, 0)) AS longest
    FROM trials
    LEFT JOIN trial_user_attributes AS to_the_end
        ON to_the_end.trial_id = trials.trial_id AND to_the_end.key = :to_the_end
    LEFT JOIN LATERAL (
        SELECT {number("value_json")} AS number
        FROM trial_user_attributes WHERE trial_id = trials.trial_id AND key = :own_length
    ) AS own ON true
    LEFT JOIN LATERAL (
        SELECT {number("value_json")} AS number
        FROM trial_user_attributes WHERE trial_id = trials.trial_id AND key = :warmup_seconds
    ) AS warmup ON true
    CROSS JOIN LATERAL (
        SELECT count(second) AS epochs, sum({number("second")}) AS seconds
        FROM trial_user_attributes, unnest({number_texts("value_json")}) AS second
        WHERE trial_id = trials.trial_id AND key = :epoch_seconds
    ) AS trained
    WHERE study_id = :study_id
    GROUP BY state, to_the_end
    """  # noqa: S608
)


@dataclass(frozen=True)
class EpochSum:
    """Sums over trials of one state.

    Attributes:
        state: Their state.
        to_the_end: Whether they run to their ends whatever happens.
        trials: Their number.
        begun: How many of them have trained an epoch.
        trained: Epochs that they have trained.
        seconds: What those took, by the clocks of their workers, evaluations included.
        warmup_seconds: What their warm-ups took.
        remaining: Epochs to their full lengths.
        longest: The most that one of them has.
    """

    state: TrialState
    to_the_end: bool
    trials: int
    begun: int
    trained: int
    seconds: float
    warmup_seconds: float
    remaining: int
    longest: int


def sum_epochs(study: Study) -> list[EpochSum]:
    """The sums over a study's trials: of each state, and of those that run to their ends."""
    values = {
        "study_id": study.id,
        "full_length": study.definition.space.epochs,
        "own_length": trial_record.EPOCHS,
        "to_the_end": trial_record.TO_THE_END,
        "warmup_seconds": trial_record.WARMUP_SECONDS,
        "epoch_seconds": trial_record.EPOCH_SECONDS,
    }
    with study.storage.singly() as connection:
        rows = connection.execute(_SUMS, values).all()
    return [
        EpochSum(
            TrialState[row.state],
            row.to_the_end,
            row.trials,
            row.begun,
            int(row.trained),
            row.seconds,
            row.warmup_seconds,
            int(row.remaining),
            int(row.longest),
        )
        for row in rows
    ]
