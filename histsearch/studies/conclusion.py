"""What a study's model says of its end, worked out once for all workers.

It may take a minute. Whoever asks first of a study as it stands works it out; the others read what
came of it, and nobody waits: who asks meanwhile is told that it isn't known yet.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from histsearch.database.tables import (
    conclusions,
    optuna_studies,
    optuna_study_attributes,
    workers,
)
from histsearch.studies.study import CHANCE_OF_BETTER, LIMITS, Study
from histsearch.studies.trial_record import DIVERGED, PAUSED

_KEY_BYTES = 16


@dataclass(frozen=True)
class Conclusion:
    """What came of it.

    Attributes:
        reason: Why the study ends; None if it doesn't.
        chance: The probability that this depends on, where it depends on one.
    """

    reason: str | None = None
    chance: float | None = None


def conclude(
    study: Study, question: str, worker_id: int, work_out: Callable[[], Conclusion]
) -> Conclusion | None:
    """What there is to say of a study as it stands; None while another worker works it out.

    Args:
        study: The study.
        question: What is asked, with all that the answer depends on beside the trials.
        worker_id: Key of the worker that asks.
        work_out: Works it out.
    """
    state = f"{question} {_key(study.trials())}"
    with study.storage.singly() as connection:
        known, is_taken = _known_or_taken(connection, study, state, worker_id)
        if known is not None and known.chance not in (None, study.chance_of_better):
            # Whoever worked it out may have found the study held.
            connection.execute(_note_chance(study, known.chance))
    if not is_taken:
        return known
    conclusion = Conclusion()
    try:
        conclusion = work_out()
    finally:
        with study.storage.singly() as connection:
            _keep(connection, study, state, worker_id, conclusion)
    return conclusion


def _key(trials: Iterable[FrozenTrial]) -> str:
    """Tells what a model knows of some trials from what it knew before."""
    facts = [
        (
            trial.number,
            trial.state.value,
            len(trial.intermediate_values),
            trial.user_attrs.get(PAUSED),
            trial.user_attrs.get(DIVERGED),
        )
        for trial in trials
    ]
    return blake2b(repr(facts).encode(), digest_size=_KEY_BYTES).hexdigest()


def _known_or_taken(
    connection: Connection, study: Study, state: str, worker_id: int
) -> tuple[Conclusion | None, bool]:
    """What is known; where nothing is, whether it is this worker's to work it out."""
    known = _known(study, state).cte("known")
    taken = _take(study, state, worker_id, ~select(known).exists()).cte("taken")
    query = (
        select(
            known.c.study_id.label("known"),
            known.c.reason,
            known.c.chance,
            taken.c.study_id.label("taken"),
        )
        .select_from(select(literal(1)).subquery())
        .outerjoin(known, true())
        .outerjoin(taken, true())
    )
    row = connection.execute(query).one()
    if row.known is None:
        return None, row.taken is not None
    return Conclusion(row.reason, row.chance), False


def _known(study: Study, state: str) -> Select[Any]:
    return select(conclusions.c.study_id, conclusions.c.reason, conclusions.c.chance).where(
        conclusions.c.study_id == study.id,
        conclusions.c.state == state,
        conclusions.c.worker_id.is_(None),
    )


def _take(
    study: Study, state: str, worker_id: int, unless_known: ColumnElement[bool]
) -> ReturningInsert[Any]:
    """Have this worker work it out, unless another that shows signs of life is at it."""
    grace = func.make_interval(0, 0, 0, 0, 0, 0, workers.c.grace_seconds)
    at_work = exists().where(
        workers.c.id == conclusions.c.worker_id,
        workers.c.ended_at.is_(None),
        workers.c.heartbeat_at > func.now() - grace,
    )
    fresh = {"state": state, "worker_id": worker_id, "reason": None, "chance": None}
    # A study that was deleted a moment ago gets no row, which nobody would remove.
    mine = (
        select(optuna_studies.c.study_id, literal(state), literal(worker_id))
        .where(optuna_studies.c.study_id == study.id, unless_known)
        .with_for_update(read=True, key_share=True)
    )
    taking = insert(conclusions).from_select(["study_id", "state", "worker_id"], mine)
    taking = taking.on_conflict_do_update(
        index_elements=[conclusions.c.study_id],
        set_=fresh,
        where=or_(
            conclusions.c.worker_id == worker_id,
            and_(conclusions.c.worker_id.is_(None), conclusions.c.state != state),
            and_(conclusions.c.worker_id.is_not(None), not_(at_work)),
        ),
    )
    return taking.returning(conclusions.c.study_id)


def _keep(
    connection: Connection, study: Study, state: str, worker_id: int, conclusion: Conclusion
) -> None:
    """Store what came of it, and for people the probability, unless somebody holds the study."""
    keeping = (
        update(conclusions)
        .where(
            conclusions.c.study_id == study.id,
            conclusions.c.state == state,
            conclusions.c.worker_id == worker_id,
        )
        .values(worker_id=None, reason=conclusion.reason, chance=conclusion.chance)
    )
    changes = [keeping.cte()]
    if conclusion.chance is not None:
        changes.append(_note_chance(study, conclusion.chance).cte())
    connection.execute(select(literal(1)).add_cte(*changes))


def _note_chance(study: Study, chance: float | None) -> Insert:
    """Have the study say how probable it is, unless its limits are others by now."""
    attributes = optuna_study_attributes
    limits = study.optuna_study.user_attrs.get(LIMITS)
    others = select(attributes.c.study_id).where(
        attributes.c.study_id == study.id,
        attributes.c.key == LIMITS,
        attributes.c.value_json.is_distinct_from(None if limits is None else json.dumps(limits)),
    )
    mine = (
        select(optuna_studies.c.study_id, literal(CHANCE_OF_BETTER), literal(json.dumps(chance)))
        .where(
            optuna_studies.c.study_id == study.id, study.storage.is_free(study.id), ~others.exists()
        )
        .with_for_update(read=True, key_share=True)  # somebody may be deleting it
    )
    noting = insert(attributes).from_select(["study_id", "key", "value_json"], mine)
    return noting.on_conflict_do_update(
        index_elements=["study_id", "key"],
        set_={"value_json": noting.excluded.value_json},
        where=attributes.c.value_json != noting.excluded.value_json,
    )
