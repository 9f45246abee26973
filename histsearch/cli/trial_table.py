"""The trials of a study as a table."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from histsearch.cli.output import echo_table
from histsearch.cli.sparkline import sparkline
from histsearch.wording import value_text

if TYPE_CHECKING:
    from histsearch.studies.study import Study
    from histsearch.studies.trial_briefs import TrialProgress

_CURVE_WIDTH = 20


def print_trials(study: "Study", trials: Sequence["TrialProgress"]) -> None:
    """Print a row for each trial, with a column for each parameter."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    scores = [score for trial in trials for score in trial.curve if score is not None]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    has_folds = study.definition.folds > 1
    columns = ["trial", "state", "epochs", study.objective.label, "curve", *names]
    columns += ["fold"] if has_folds else []

    def row(trial: "TrialProgress") -> list[str]:
        return [
            str(trial.number),
            trial.stage.value,
            f"{trial.epochs}/{trial.planned_epochs}",
            "" if trial.best is None else f"{trial.best:.1%}",
            _curve(trial, low, high),
            *(value_text(trial.params[name]) if name in trial.params else "" for name in names),
            *([_text(trial.fold)] if has_folds else []),
            _text(trial.worker),
        ]

    echo_table([*columns, "worker"], map(row, trials))


def _curve(trial: "TrialProgress", low: float, high: float) -> str:
    """A trial's curve; one that isn't whole is as much shorter."""
    length = max(trial.planned_epochs, len(trial.curve), 1)
    width = math.ceil(len(trial.curve) * min(1.0, _CURVE_WIDTH / length))
    values = [math.nan if score is None else score for score in trial.curve]
    return sparkline(values, width, minimum=low, maximum=high)


def _text(value: object) -> str:
    return "" if value is None else str(value)
