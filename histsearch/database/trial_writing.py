"""Writing to Optuna's tables as Optuna would, many rows with one statement.

Each statement names the trials that it writes to by a query, which leaves out those that mustn't be
changed any more.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    Select,
    Text,
    Update,
    cast,
    column,
    select,
    true,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

TRIALS = models.TrialModel.__table__
_VALUES = models.TrialValueModel.__table__
_PARAMETERS = models.TrialParamModel.__table__
_STEPS = models.TrialIntermediateValueModel.__table__
_USER_ATTRIBUTES = models.TrialUserAttributeModel.__table__
_SYSTEM_ATTRIBUTES = models.TrialSystemAttributeModel.__table__

Parameters = Mapping[str, tuple[float, BaseDistribution]]
"""The value of each parameter as Optuna stores it, and its distribution."""


def is_unfinished() -> ColumnElement[bool]:
    """Whether a trial may still be changed."""
    unfinished: ColumnElement[bool] = TRIALS.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
    return unfinished


def unfinished_trial(trial_id: int) -> CTE:
    """A trial, unless it is finished."""
    return select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == trial_id, is_unfinished()).cte()


def write_attributes(
    trials: CTE, attributes: Mapping[str, Any], *, system: bool = False
) -> ReturningInsert[Any]:
    """Set user attributes, or Optuna's own, of some trials; it returns the trials' keys."""
    table = _SYSTEM_ATTRIBUTES if system else _USER_ATTRIBUTES
    given = values(column("key", Text), column("value_json", Text), name="given").data(
        [(key, json.dumps(value)) for key, value in attributes.items()]
    )
    rows = insert(table).from_select(
        ["trial_id", "key", "value_json"],
        select(trials.c.trial_id, given.c.key, given.c.value_json).join(given, true()),
    )
    return rows.on_conflict_do_update(
        index_elements=["trial_id", "key"], set_={"value_json": rows.excluded.value_json}
    ).returning(table.c.trial_id)


def write_steps(trials: CTE, steps: Mapping[int, float]) -> ReturningInsert[Any]:
    """Set intermediate values of some trials by step; it returns the trials' keys."""
    of_model = models.TrialIntermediateValueModel
    stored = {
        step: of_model.intermediate_value_to_stored_repr(value) for step, value in steps.items()
    }
    given = values(
        column("step", Integer), column("value", Float), column("kind", Text), name="given"
    ).data([(step, value, kind.name) for step, (value, kind) in stored.items()])
    written = {
        "step": given.c.step,
        "intermediate_value": cast(given.c.value, _STEPS.c.intermediate_value.type),
        "intermediate_value_type": cast(given.c.kind, _STEPS.c.intermediate_value_type.type),
    }
    rows = insert(_STEPS).from_select(
        ["trial_id", *written], select(trials.c.trial_id, *written.values()).join(given, true())
    )
    changed = {name: rows.excluded[name] for name in written if name != "step"}
    return rows.on_conflict_do_update(index_elements=["trial_id", "step"], set_=changed).returning(
        _STEPS.c.trial_id
    )


def write_parameters(trials: CTE, parameters: Parameters) -> ReturningInsert[Any]:
    """Set parameters that some trials don't have yet; it returns the trials' keys."""
    given = values(
        column("name", Text), column("value", Float), column("distribution", Text), name="given"
    ).data(
        [
            (name, value, distribution_to_json(distribution))
            for name, (value, distribution) in parameters.items()
        ]
    )
    rows = insert(_PARAMETERS).from_select(
        ["trial_id", "param_name", "param_value", "distribution_json"],
        select(
            trials.c.trial_id,
            given.c.name,
            cast(given.c.value, _PARAMETERS.c.param_value.type),
            given.c.distribution,
        ).join(given, true()),
    )
    return rows.on_conflict_do_nothing().returning(_PARAMETERS.c.trial_id)


def write_state(trials: CTE, state: TrialState) -> Update:
    """Set the state of some trials, and when they ended where it is an end."""
    times = {"datetime_complete": as_stored(datetime.now())} if state.is_finished() else {}
    return (
        update(TRIALS)
        .where(TRIALS.c.trial_id.in_(select(trials.c.trial_id)))
        .values(state=state, **times)
    )


def as_stored(moment: datetime) -> datetime:
    """A local time as Optuna keeps it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def write_value(trials: CTE, value: float) -> ReturningInsert[Any]:
    """Set the value of some trials; it returns the trials' keys."""
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    rows = insert(_VALUES).from_select(
        ["trial_id", "objective", "value", "value_type"],
        _with(trials, 0, stored, kind.name),
    )
    changed = {"value": rows.excluded.value, "value_type": rows.excluded.value_type}
    return rows.on_conflict_do_update(
        index_elements=["trial_id", "objective"], set_=changed
    ).returning(_VALUES.c.trial_id)


def _with(trials: CTE, objective: int, value: float | None, kind: str) -> Select[Any]:
    return select(
        trials.c.trial_id,
        cast(objective, Integer),
        cast(value, _VALUES.c.value.type),
        cast(kind, _VALUES.c.value_type.type),
    )
