"""The configurations that a retraining trains."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from histsearch.space.configuration import Value
from histsearch.studies.catalog import QueuedTrial
from histsearch.studies.study import Study
from histsearch.studies.trial_record import EPOCHS, ROLE, SEED, SOURCE_TRIAL


class Chosen(NamedTuple):
    """A configuration that is retrained.

    Attributes:
        params: Its searched parameters.
        role: `trial_record.TUNED` or `trial_record.BASELINE`.
        source_trial: Number of the search's trial it comes from.
        epochs: Number of epochs to train.
    """

    params: Mapping[str, Value]
    role: str
    source_trial: int
    epochs: int

    @property
    def label(self) -> str:
        """Its short name, such as "tuned #11"."""
        return f"{self.role} #{self.source_trial}"

    def runs(self, seeds: Sequence[int]) -> list[QueuedTrial]:
        """One trial a seed."""
        attributes = {ROLE: self.role, SOURCE_TRIAL: self.source_trial, EPOCHS: self.epochs}
        return [QueuedTrial({**self.params, SEED: seed}, attributes) for seed in seeds]


def chosen_configurations(retraining: Study) -> list[Chosen]:
    """What a retraining trains, each configuration once; trials that others added are left out."""
    found: dict[str, Chosen] = {}
    for trial in retraining.trials():
        attributes = trial.user_attrs
        if ROLE not in attributes:
            continue
        params = {name: value for name, value in planned(trial).items() if name != SEED}
        one = Chosen(params, attributes[ROLE], attributes[SOURCE_TRIAL], attributes[EPOCHS])
        found.setdefault(one.label, one)
    return list(found.values())


def planned(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a retraining's trial, whether it has begun or waits."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}
