"""Studies that an earlier histsearch was stopped in the middle of creating.

It created a study in many transactions, and paused it until the last one. Now a study is created
whole or not at all.
"""

from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState
from pydantic import ValidationError
from sqlalchemy import func, select

from histsearch.database.storage import Storage
from histsearch.database.tables import optuna_trial_attributes, optuna_trials
from histsearch.studies.definition import read_definition
from histsearch.studies.stages import PAUSED
from histsearch.studies.study import BUDGET, DEFINITION, Study
from histsearch.studies.trial_record import ROLE


@dataclass(frozen=True)
class HalfCreated:
    """A half created study; as text, what it is and what to do about it.

    Attributes:
        name: The study.
        source: The search that it was to retrain; None for a search, and where that isn't known.
    """

    name: str
    source: str | None

    def __str__(self) -> str:
        return (
            f'"{self.name}" is half created: histsearch study delete {self.name}, then create it '
            "again"
        )


def half_created(storage: Storage, optuna_study: optuna.Study) -> HalfCreated | None:
    """The study as a half created one; None if it is whole, or not of this histsearch."""
    name, attributes = optuna_study.study_name, optuna_study.user_attrs
    if DEFINITION not in attributes:
        begun = PAUSED in attributes or BUDGET in attributes
        return HalfCreated(name, None) if begun else None
    try:
        definition = read_definition(attributes[DEFINITION])
    except ValidationError:
        return None
    study = Study(storage, optuna_study, definition)
    if definition.source is None:
        lacks_trials = _lacks_enqueued_configurations(study, len(definition.space.enqueue))
    else:
        lacks_trials = _lacks_runs(study)
    return HalfCreated(name, definition.source) if lacks_trials else None


def half_created_studies(storage: Storage) -> list[HalfCreated]:
    """The half created studies of a storage, by name."""
    found = []
    for name in sorted(frozen.study_name for frozen in storage.optuna.get_all_studies()):
        with suppress(KeyError):  # it was deleted a moment ago
            optuna_study = optuna.load_study(study_name=name, storage=storage.keeping)
            found.append(half_created(storage, optuna_study))
    return [half for half in found if half is not None]


def _lacks_runs(retraining: Study) -> bool:
    """Whether it holds fewer of its own runs than it was to; others may have taken their place."""
    query = (
        select(func.count())
        .select_from(
            optuna_trials.join(
                optuna_trial_attributes,
                optuna_trial_attributes.c.trial_id == optuna_trials.c.trial_id,
            )
        )
        .where(optuna_trials.c.study_id == retraining.id, optuna_trial_attributes.c.key == ROLE)
    )
    with retraining.storage.begin() as connection:
        return connection.execute(query).scalar_one() < retraining.budget


def _lacks_enqueued_configurations(search: Study, enqueued: int) -> bool:
    """Whether it never ran, and holds fewer configurations than its space enqueues."""
    if not search.paused:
        return False
    held = search.count()
    return held == search.count(TrialState.WAITING) < enqueued
