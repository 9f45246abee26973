"""A study's trials as plain rows, for spreadsheets and notebooks.

Their times are UTC and the database's, like those of all attempts: a trial started when its first
attempt did, and ended when its last one did. Optuna's own times are those of the clocks of workers,
and begin anew whenever a trial is gone on with.
"""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.trial import FrozenTrial

from histsearch.studies.attempt_times import AttemptTimes, attempt_times
from histsearch.studies.study import Study

_COLUMNS = ("number", "state", "value")


def rows(study: Study) -> list[dict[str, Any]]:
    """One flat dictionary a trial: number, state, value, parameters, curve, times, attributes."""
    trials = study.trials()
    times = attempt_times(study)
    return [_row(trial, times) for trial in trials]


def _row(trial: FrozenTrial, times: Mapping[int, AttemptTimes]) -> dict[str, Any]:
    started, ended = _times(trial, times.get(trial._trial_id))
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        **{f"params.{name}": value for name, value in trial.params.items()},
        "curve": {str(step): value for step, value in sorted(trial.intermediate_values.items())},
        "started": _as_text(started),
        "ended": _as_text(ended),
        **{f"attrs.{name}": value for name, value in trial.user_attrs.items()},
    }


def _times(
    trial: FrozenTrial, attempts: AttemptTimes | None
) -> tuple[datetime | None, datetime | None]:
    """When a trial started and ended; by Optuna for one that others than workers ran."""
    if attempts is None:
        return trial.datetime_start, trial.datetime_complete
    return attempts.started, attempts.ended if trial.state.is_finished() else None


def _as_text(time: datetime | None) -> str | None:
    # Optuna gives times of this machine's zone, without saying so; astimezone() reads them as such.
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds")


def to_json(study: Study) -> str:
    """The study's definition and its rows as a JSON document."""
    document = {
        "study": study.name,
        "definition": study.definition.model_dump(mode="json"),
        "trials": rows(study),
    }
    return json.dumps(document, indent=2)


def to_csv(study: Study) -> str:
    """The rows as CSV; a curve or another nested value is a JSON cell."""
    table = rows(study)
    columns = dict.fromkeys([*_COLUMNS, *(column for row in table for column in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), restval="")
    writer.writeheader()
    for row in table:
        writer.writerow({column: _cell(value) for column, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value
