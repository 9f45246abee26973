"""A study's trials as plain rows, for spreadsheets and notebooks."""

import csv
import io
import json
from typing import Any

from optuna.trial import FrozenTrial

from histsearch.studies.study import Study

_COLUMNS = ("number", "state", "value")


def rows(study: Study) -> list[dict[str, Any]]:
    """One flat dictionary a trial: number, state, value, parameters, curve, attributes."""
    return [_row(trial) for trial in study.trials()]


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        **{f"params.{name}": value for name, value in trial.params.items()},
        "curve": {str(step): value for step, value in sorted(trial.intermediate_values.items())},
        "started": trial.datetime_start.isoformat() if trial.datetime_start else None,
        "ended": trial.datetime_complete.isoformat() if trial.datetime_complete else None,
        **{f"attrs.{name}": value for name, value in trial.user_attrs.items()},
    }


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
