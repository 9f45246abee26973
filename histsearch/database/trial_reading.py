"""Reading many of Optuna's trials at once, each as Optuna would read it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text
from sqlalchemy.engine import Connection


def _parts(table: str, columns: str, key: str) -> str:
    """The rows of a trial in another table, as one column."""
    return (
        f"(SELECT json_agg(json_build_array({columns}) ORDER BY {key}) FROM {table} AS part "  # noqa: S608
        f"WHERE part.trial_id = trials.trial_id) AS {table}"
    )


# One statement shows all of a trial at one moment.
_SELECT = "SELECT trial_id, number, state, datetime_start, datetime_complete, " + ", ".join(
    (
        _parts("trial_params", "param_name, param_value, distribution_json", "param_id"),
        _parts("trial_values", "value, value_type", "objective"),
        _parts("trial_user_attributes", "key, value_json", "trial_user_attribute_id"),
        _parts("trial_system_attributes", "key, value_json", "trial_system_attribute_id"),
        _parts(
            "trial_intermediate_values",
            "step, intermediate_value, intermediate_value_type",
            "trial_intermediate_value_id",
        ),
    )
)
_OF_STUDY = text(f"{_SELECT} FROM trials WHERE study_id = :study_id")
_BY_KEY = text(f"{_SELECT} FROM trials WHERE trial_id = ANY(:trial_ids)")


def trials_as_json(keys: str) -> str:
    """SQL of one value, for `trials_from_json`: the trials with some keys.

    Args:
        keys: SQL of the array of keys.
    """
    return (
        f"(SELECT json_agg(trial) FROM ({_SELECT} FROM trials "  # noqa: S608
        f"WHERE trial_id = ANY({keys})) AS trial)"
    )


# Optuna stores these as a word, and other numbers with the word FINITE.
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def read_study_trials(connection: Connection, study_id: int) -> list[FrozenTrial]:
    """All trials of a study."""
    return [
        _frozen(row) for row in connection.execute(_OF_STUDY, {"study_id": study_id}).mappings()
    ]


def read_trials(connection: Connection, trial_ids: Sequence[int]) -> list[FrozenTrial]:
    """The trials with some keys; those that there aren't are left out."""
    rows = connection.execute(_BY_KEY, {"trial_ids": list(trial_ids)}).mappings()
    return [_frozen(row) for row in rows]


def trials_from_json(rows: Iterable[Mapping[str, Any]] | None) -> list[FrozenTrial]:
    """What `trials_as_json` gave."""
    return [_frozen(row) for row in rows or ()]


def _frozen(row: Mapping[Any, Any]) -> FrozenTrial:
    distributions = {name: _distribution(written) for name, _, written in row["trial_params"] or ()}
    return FrozenTrial(
        number=row["number"],
        state=TrialState[row["state"]],
        value=None,
        values=[_number(value, kind) for value, kind in row["trial_values"] or ()] or None,
        datetime_start=_local(row["datetime_start"]),
        datetime_complete=_local(row["datetime_complete"]),
        params={
            name: distributions[name].to_external_repr(float(value))
            for name, value, _ in row["trial_params"] or ()
        },
        distributions=distributions,
        user_attrs=attributes_of(row["trial_user_attributes"]),
        system_attrs=attributes_of(row["trial_system_attributes"]),
        intermediate_values={
            step: _number(value, kind)
            for step, value, kind in row["trial_intermediate_values"] or ()
        },
        trial_id=row["trial_id"],
    )


@lru_cache(maxsize=1024)
def _distribution(written: str) -> BaseDistribution:
    """A distribution; trials share it, as nobody changes one."""
    return json_to_distribution(written)


def _number(value: float | None, kind: str) -> float:
    """A number as it is stored; JSON may have written it without a point."""
    return _NOT_FINITE[kind] if value is None else float(value)


def attributes_of(rows: Iterable[tuple[str, str]] | None) -> dict[str, Any]:
    """Attributes by name, from their names and what Optuna stores of their values."""
    return {key: json.loads(value) for key, value in rows or ()}


def _local(moment: datetime | str | None) -> datetime | None:
    """Optuna keeps UTC, and shows the local time; JSON has moments as text."""
    if moment is None:
        return None
    in_utc = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return in_utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
