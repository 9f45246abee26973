"""The configurations that a retraining trains."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from histsearch.space.baselines import FIRST
from histsearch.space.configuration import Value
from histsearch.studies.catalog import QueuedTrial
from histsearch.studies.study import Study
from histsearch.studies.trial_record import (
    ALSO_BASELINES,
    BASELINE,
    BASELINE_NAME,
    EPOCHS,
    ROLE,
    SEED,
    SOURCE_TRIAL,
)


class Origin(NamedTuple):
    """What a configuration of a retraining is, and where it comes from.

    Attributes:
        role: `trial_record.TUNED` or `trial_record.BASELINE`.
        source_trial: Number of the search's trial with the configuration; None where there is none.
        baseline: A baseline's name.
        also: Names of the baselines that it is as well.
    """

    role: str
    source_trial: int | None = None
    baseline: str | None = None
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Origin":
        """That of a retraining's trial, which has a role."""
        attributes = trial.user_attrs
        role = attributes[ROLE]
        return cls(
            role,
            attributes.get(SOURCE_TRIAL),
            attributes.get(BASELINE_NAME, FIRST) if role == BASELINE else None,
            tuple(attributes.get(ALSO_BASELINES, ())),
        )

    @property
    def label(self) -> str:
        """Its short name: "tuned #11", "baseline authors", "baseline first #0"."""
        source = None if self.source_trial is None else f"#{self.source_trial}"
        also = ", ".join(f"{BASELINE} {name}" for name in self.also)
        parts = (self.role, self.baseline, source, f"({also})" if also else None)
        return " ".join(part for part in parts if part is not None)

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names of all baselines that it is."""
        return self.also if self.baseline is None else (self.baseline, *self.also)

    def attributes(self) -> dict[str, Any]:
        """Those of its trials."""
        named = {
            ROLE: self.role,
            SOURCE_TRIAL: self.source_trial,
            BASELINE_NAME: self.baseline,
            ALSO_BASELINES: list(self.also) or None,
        }
        return {name: value for name, value in named.items() if value is not None}


class Chosen(NamedTuple):
    """A configuration that is retrained.

    Attributes:
        params: The parameters that differ between those that are retrained together.
        origin: What it is, and where it comes from.
        epochs: Number of epochs to train.
    """

    params: Mapping[str, Value]
    origin: Origin
    epochs: int

    @property
    def label(self) -> str:
        """Its short name, such as "tuned #11"."""
        return self.origin.label

    def runs(self, seeds: Sequence[int]) -> list[QueuedTrial]:
        """One trial a seed."""
        attributes = {**self.origin.attributes(), EPOCHS: self.epochs}
        return [QueuedTrial({**self.params, SEED: seed}, attributes) for seed in seeds]


def chosen_configurations(retraining: Study) -> list[Chosen]:
    """What a retraining trains, each configuration once; trials that others added are left out."""
    found: dict[Origin, Chosen] = {}
    for trial in retraining.trials():
        if ROLE not in trial.user_attrs:
            continue
        params = {name: value for name, value in planned(trial).items() if name != SEED}
        origin = Origin.of(trial)
        found.setdefault(origin, Chosen(params, origin, trial.user_attrs[EPOCHS]))
    return list(found.values())


def planned(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, whether it has begun or waits."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}
