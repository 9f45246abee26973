"""A search with as many trials as wanted, as if workers had trained them; by SQL, in seconds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, distribution_to_json
from sqlalchemy import text
from sqlalchemy.engine import Connection

from histsearch.database.storage import Storage
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.study import Study

EPOCHS = 30

_SPACE = {
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": EPOCHS,
    "sampler": "freeze-thaw",
    "search": {
        "lambda_s": [0.5, 1.0, 2.0],
        "tau": [4, 8, 16, 32, 64],
        "batch_size": [8, 16, 32],
        "lr": {"low": 1e-5, "high": 1e-2, "log": True},
    },
}
_TRIALS = text(
    "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
    "SELECT number, :study_id, CAST(state AS trialstate), now(), "
    "CASE WHEN state <> 'WAITING' THEN now() END "
    "FROM unnest(CAST(:numbers AS int[]), CAST(:states AS text[])) AS given (number, state) "
    "ORDER BY number RETURNING trial_id"
)
_PARAMETER = text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "SELECT trial_id, :name, value, :distribution "
    "FROM unnest(CAST(:keys AS int[]), CAST(:values AS float8[])) AS given (trial_id, value)"
)
_STEPS = text(
    "INSERT INTO trial_intermediate_values "
    "(trial_id, step, intermediate_value, intermediate_value_type) "
    "SELECT trial_id, step, least(1.0, best * step / (step + 3.0) + 0.02 * random()), 'FINITE' "
    "FROM unnest(CAST(:keys AS int[]), CAST(:lengths AS int[]), CAST(:bests AS float8[])) "
    "AS given (trial_id, length, best), generate_series(1, length) AS step"
)
_VALUES = text(
    "INSERT INTO trial_values (trial_id, objective, value, value_type) "
    "SELECT trial_id, 0, max(intermediate_value), 'FINITE' "
    "FROM trials JOIN trial_intermediate_values USING (trial_id) "
    "WHERE study_id = :study_id AND state = 'COMPLETE' GROUP BY trial_id"
)
_ATTRIBUTES = text(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
    "SELECT trial_id, key, CASE key "
    "WHEN 'epoch_seconds' THEN '[' || rtrim(repeat('60.0, ', length), ', ') || ']' "
    "WHEN 'seconds' THEN CAST(60.0 * length AS text) ELSE value END "
    "FROM unnest(CAST(:keys AS int[]), CAST(:lengths AS int[])) AS given (trial_id, length), "
    "(VALUES ('worker', '\"worker\"'), ('device', '\"a GPU\"'), ('versions', '{}'), "
    "('commit', 'null'), ('accelerated', 'true'), ('seed', '1'), ('warmup_seconds', '1.0'), "
    "('epoch_seconds', ''), ('seconds', ''), ('images_per_second', '100.0'), "
    "('peak_memory_mib', '1000'), ('best_epoch', '1')) AS attributes (key, value)"
)
_PAUSED = text(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
    "SELECT trial_id, 'paused', 'true' FROM trials "
    "WHERE study_id = :study_id AND state = 'WAITING'"
)
_WORKER = text(
    "INSERT INTO histsearch_workers (name, host, process_id, device, version, grace_seconds, "
    "ended_at) VALUES ('filler', 'here', 1, 'a GPU', '0', 60, now()) RETURNING id"
)
_ATTEMPTS = text(
    "INSERT INTO histsearch_attempts (trial_id, number, worker_id, resumed_after, ended_at, ending)"
    " SELECT trial_id, 1, :worker, 0, now(), 'complete' FROM trials WHERE study_id = :study_id"
)
_TABLES = (
    *("trials", "trial_params", "trial_values", "trial_user_attributes"),
    *("trial_intermediate_values", "histsearch_attempts"),
)


def filled_study(
    storage: Storage,
    name: str,
    trials: int,
    *,
    complete: float = 0.8,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Study:
    """A search some of whose trials are complete, the others paused after half of their epochs.

    Args:
        storage: Where it is to be.
        name: Its name.
        trials: How many it has; its budget is one more.
        complete: The share that is complete.
        changes: What its space has otherwise.
    """
    table: dict[str, Any] = {**_SPACE, "name": name, "trials": trials + 1, **changes}
    study = create_search(storage, parse_space(table, source="here"))
    rng = np.random.default_rng(0)
    is_complete = rng.random(trials) < complete
    lengths = [EPOCHS if one else EPOCHS // 2 for one in is_complete]
    with storage.begin() as connection:
        rows = connection.execute(
            _TRIALS,
            {
                "study_id": study.id,
                "numbers": list(range(trials)),
                "states": ["COMPLETE" if one else "WAITING" for one in is_complete],
            },
        )
        keys = [row.trial_id for row in rows]
        for parameter, distribution in study.definition.distributions().items():
            _draw(connection, keys, parameter, distribution, rng)
        bests = (0.5 + 0.3 * rng.random(trials)).tolist()
        connection.execute(_STEPS, {"keys": keys, "lengths": lengths, "bests": bests})
        connection.execute(_VALUES, {"study_id": study.id})
        connection.execute(_ATTRIBUTES, {"keys": keys, "lengths": lengths})
        connection.execute(_PAUSED, {"study_id": study.id})
        worker = connection.execute(_WORKER).scalar_one()
        connection.execute(_ATTEMPTS, {"worker": worker, "study_id": study.id})
    with storage.begin() as connection:
        for filled in _TABLES:
            connection.execute(text(f"ANALYZE {filled}"))
    return study


def _draw(
    connection: Connection,
    keys: list[int],
    name: str,
    distribution: BaseDistribution,
    rng: np.random.Generator,
) -> None:
    """Give each trial a value of a parameter."""
    choices = getattr(distribution, "choices", None)
    if choices is None:
        low, high = np.log(distribution.low), np.log(distribution.high)  # type: ignore[attr-defined]
        drawn = np.exp(rng.uniform(low, high, len(keys)))
    else:
        drawn = rng.integers(len(choices), size=len(keys)).astype(float)
    connection.execute(
        _PARAMETER,
        {
            "name": name,
            "distribution": distribution_to_json(distribution),
            "keys": keys,
            "values": drawn.tolist(),
        },
    )
