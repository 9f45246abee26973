"""Learning curves of the trials that run, with the best of their studies beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, text

from histsearch.database.storage import Storage

_CURVES = text(
    """
    WITH named AS (
        SELECT study_id, study_name FROM studies WHERE study_name IN :names
    ), best AS (
        SELECT DISTINCT ON (study_id) trial_id
        FROM named JOIN trials USING (study_id) JOIN trial_intermediate_values USING (trial_id)
        WHERE intermediate_value_type = 'FINITE'
        ORDER BY study_id, intermediate_value DESC, number
    )
    SELECT study_name, number, state = 'RUNNING' AS runs, best.trial_id IS NOT NULL AS is_best,
        curves.scores
    FROM named JOIN trials USING (study_id) LEFT JOIN best USING (trial_id)
    JOIN LATERAL (
        SELECT array_agg(CASE intermediate_value_type WHEN 'FINITE' THEN intermediate_value
            ELSE 'NaN' END ORDER BY step) AS scores
        FROM trial_intermediate_values AS steps WHERE steps.trial_id = trials.trial_id
    ) AS curves ON scores IS NOT NULL
    WHERE state = 'RUNNING' OR best.trial_id IS NOT NULL
    ORDER BY study_name, number
    """
).bindparams(bindparam("names", expanding=True))


@dataclass(frozen=True)
class RunningCurve:
    """A learning curve.

    Attributes:
        study: Name of the trial's study.
        trial: Number of the trial.
        scores: The score after each epoch, in [0, 1].
        runs: Whether the trial runs.
        is_best: Whether it had the highest score of its study so far.
    """

    study: str
    trial: int
    scores: list[float]
    runs: bool
    is_best: bool


def running_curves(storage: Storage, studies: Sequence[str]) -> list[RunningCurve]:
    """The curves of the trials of some studies that run, and of each study's best trial.

    Args:
        storage: Where the studies are.
        studies: Their names.

    Returns:
        The curves by study and number; none of a trial before its first score.
    """
    if not studies:
        return []
    with storage.singly() as connection:
        rows = connection.execute(_CURVES, {"names": list(studies)}).all()
    return [
        RunningCurve(row.study_name, row.number, row.scores, row.runs, row.is_best) for row in rows
    ]
