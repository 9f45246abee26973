"""One run of a retraining, as reports show it."""

from dataclasses import dataclass

from optuna.trial import FrozenTrial

from histsearch.database.json_values import is_number
from histsearch.retrieval.known_metrics import Metric, recall_at
from histsearch.studies import trial_record
from histsearch.studies.hours import in_hours


@dataclass(frozen=True)
class SeedRun:
    """A run of a configuration with one seed.

    Attributes:
        trial: Number of its trial within the retraining.
        seed: Its seed.
        hours: Device-hours that it took; None where that isn't known.
        figures: Its figures on the test classes, in [0, 1], by label, the objective first.
    """

    trial: int
    seed: int
    hours: float | None
    figures: dict[str, float]


def seed_run(trial: FrozenTrial, objective: Metric) -> SeedRun:
    """What a completed trial of a retraining came to.

    Args:
        trial: The trial.
        objective: What its value is of.
    """
    attributes = trial.user_attrs
    recalls = attributes.get(trial_record.RECALL, {})
    seconds = attributes.get(trial_record.SECONDS)
    return SeedRun(
        trial=trial.number,
        seed=trial.params[trial_record.SEED],
        hours=in_hours(seconds) if is_number(seconds) else None,
        figures={
            objective.label: trial.value or 0.0,
            **{recall_at(int(k)).label: value for k, value in recalls.items()},
            **attributes.get(trial_record.FIGURES, {}),
        },
    )
