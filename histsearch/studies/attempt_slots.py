"""On how many slots of a device trials ran, of which a second counts a part."""

from collections.abc import Sequence

from sqlalchemy import func, select

from histsearch.database.tables import attempts, optuna_trials, workers
from histsearch.studies.study import Study


def most_slots(studies: Sequence[Study]) -> int:
    """The most slots that a device had whose workers tried trials of some studies in a database."""
    query = (
        select(func.coalesce(func.max(workers.c.slots), 1))
        .join(attempts, attempts.c.worker_id == workers.c.id)
        .join(optuna_trials, optuna_trials.c.trial_id == attempts.c.trial_id)
        .where(optuna_trials.c.study_id.in_([study.id for study in studies]))
    )
    with studies[0].storage.singly() as connection:
        return int(connection.execute(query).scalar_one())
