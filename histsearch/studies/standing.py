"""How a search's configurations stand, as the last worker that asked its model stored it.

So people needn't wait for the model when they ask, which takes long in a large study.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal
from sqlalchemy.dialects.postgresql import JSON, Insert, insert

from histsearch.database.tables import optuna_study_attributes
from histsearch.search.standing import Standing
from histsearch.studies.study import Study
from histsearch.studies.trial_sums import count_epochs

STANDING = "histsearch.standing"

_FEW_EPOCHS = 2000
"""The model of a study of so many epochs answers within a second."""


@dataclass(frozen=True)
class StoredStanding:
    """A standing, and when it was stored.

    Attributes:
        standing: It.
        stored_at: When, in UTC by the database's clock, as ISO 8601 has it; None where nothing was
            stored and the model was asked just now.
    """

    standing: Standing
    stored_at: str | None


def noted_standing(study_id: int, standing: Standing, *, finished_as: str | None = None) -> Insert:
    """SQL that stores how a search stands, for a transaction that holds the study's lock.

    Args:
        study_id: The search.
        standing: How it stands.
        finished_as: With which trials it is finished; None while it goes on.
    """
    now = func.timezone("UTC", func.clock_timestamp())
    row = insert(optuna_study_attributes).values(
        study_id=study_id,
        key=STANDING,
        value_json=func.json_build_object(
            "stored_at",
            func.to_char(now, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            "standing",
            literal(json.dumps(standing.to_json())).cast(JSON),
            "finished_as",
            finished_as,
        ).cast(optuna_study_attributes.c.value_json.type),
    )
    return row.on_conflict_do_update(
        index_elements=["study_id", "key"], set_={"value_json": row.excluded.value_json}
    )


def note_last_standing(study: Study) -> None:
    """Store how a finished search stands, of which its last claim knew too little.

    Nothing is done where that is stored already.
    """
    if not is_asked(study) or not study.is_finished:
        return
    finished_as = f"{study.count()} trials, {count_epochs(study)} epochs"
    stored: dict[str, Any] | None = study.optuna_study.user_attrs.get(STANDING)
    if stored is not None and stored.get("finished_as") == finished_as:
        return
    standing = study.posterior().standing()
    if standing is not None:
        with study.storage.lock(study.id) as connection:
            connection.execute(noted_standing(study.id, standing, finished_as=finished_as))


def is_asked(study: Study) -> bool:
    """Whether a model says which configuration of a study is best, not the highest value."""
    definition = study.definition
    return definition.selects and (definition.decides or definition.repeats)


def known_standing(study: Study) -> StoredStanding | None:
    """How a search stands; None where no trial has reported an epoch.

    None as well where nothing was stored and its model would take long to answer.
    """
    kept: dict[str, Any] | None = study.optuna_study.user_attrs.get(STANDING)
    if kept is not None:
        return StoredStanding(Standing.from_json(kept["standing"]), kept["stored_at"])
    if not 0 < count_epochs(study) <= _FEW_EPOCHS:
        return None
    standing = study.posterior().standing()
    return None if standing is None else StoredStanding(standing, None)
