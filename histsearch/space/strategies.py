"""Samplers and pruners by name, with their settings, as a space gives them."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from typing_extensions import override

from histsearch.space.configuration import MOST_EPOCHS

MOST_TRIALS = 100_000
_MOST_FACTOR = 1_000
MOST_GRID_SEEDS = 1_000

_FACTOR = f"a whole number from 2 to {_MOST_FACTOR}"
_EPOCHS = f"a whole number from 1 to {MOST_EPOCHS}"
_SEEDS = f"a whole number from 1 to {MOST_GRID_SEEDS}"
_TRIALS = f"a whole number from 1 to {MOST_TRIALS}"


class _Strategy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Sampler(_Strategy):
    decides: ClassVar[bool] = False
    """Whether its model says which configuration is the winner, and when that is decided."""

    resumes: ClassVar[bool] = False
    """Whether it chooses between new trials and paused ones."""

    warm_starts: ClassVar[bool] = False
    """Whether it learns from earlier studies."""

    enumerates: ClassVar[bool] = False
    """Whether it runs each configuration of a finite space, as often as `rounds` says."""

    heeds_folds: ClassVar[bool] = False
    """Whether it isn't misled by trials whose folds differ in difficulty."""


class _Pruner(_Strategy):
    name: str

    pauses: ClassVar[bool] = False
    """Whether the trials that it stops may go on later."""

    stops_trials: ClassVar[bool] = True
    """Whether a trial may stop before its last epoch."""

    heeds_folds: ClassVar[bool] = False
    """Whether it isn't misled by trials whose folds differ in difficulty."""

    @property
    def fewest_epochs(self) -> int | None:
        """Epochs before which no trial is paused; None for the usual, and where none ever is."""
        return None

    @property
    def rule(self) -> str:
        """What a trial that it prunes falls short of, in words."""
        return f'what "{self.name}" asks for'


class FreezeThawSamplerSettings(_Sampler):
    """The project's own: a model of all learning curves chooses what to train next."""

    decides = True
    resumes = True
    warm_starts = True
    heeds_folds = True

    name: Literal["freeze-thaw"] = "freeze-thaw"


class TPESettings(_Sampler):
    """Optuna's TPE, aware of the trials that other workers are running."""

    name: Literal["tpe"] = "tpe"
    startup_trials: int = Field(10, ge=1, le=MOST_TRIALS, description=_TRIALS)
    multivariate: bool = Field(True, description="true or false")


class GPSettings(_Sampler):
    """Optuna's Gaussian process."""

    name: Literal["gp"] = "gp"
    startup_trials: int = Field(10, ge=1, le=MOST_TRIALS, description=_TRIALS)


class GridSettings(_Sampler):
    """Every configuration once a fold and seed."""

    enumerates = True
    heeds_folds = True

    name: Literal["grid"] = "grid"
    seeds: int = Field(1, ge=1, le=MOST_GRID_SEEDS, description=_SEEDS)

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a single seed, as earlier versions know no such key."""
        kept: dict[str, Any] = handler(self)
        if self.seeds == 1:
            kept.pop("seeds", None)
        return kept


class RandomSettings(_Sampler):
    """Configurations at random."""

    heeds_folds = True

    name: Literal["random"] = "random"


class FreezeThawPrunerSettings(_Pruner):
    """Pauses a trial when the freeze-thaw sampler would rather train something else.

    A trial isn't left before it has run for ``min_epochs`` epochs, the square root of a full run's
    when left out; raise it where saving and loading a run's state takes long beside an epoch.
    """

    name: Literal["freeze-thaw"] = "freeze-thaw"
    min_epochs: int | None = Field(None, ge=1, le=MOST_EPOCHS, description=_EPOCHS)

    pauses = True
    heeds_folds = True

    @property
    @override
    def fewest_epochs(self) -> int | None:
        """Epochs before which no trial is paused; None for the usual."""
        return self.min_epochs


class MedianSettings(_Pruner):
    """Optuna's median rule; ``warmup_epochs`` is a fifth of the epochs when left out."""

    name: Literal["median"] = "median"
    startup_trials: int = Field(
        5, ge=0, le=MOST_TRIALS, description=f"a whole number from 0 to {MOST_TRIALS}"
    )
    warmup_epochs: int | None = Field(
        None, ge=0, le=MOST_EPOCHS, description=f"a whole number from 0 to {MOST_EPOCHS}"
    )

    @property
    @override
    def rule(self) -> str:
        """What a trial that it prunes falls short of, in words."""
        return "the median"


class HalvingSettings(_Pruner):
    """Optuna's asynchronous successive halving."""

    name: Literal["halving"] = "halving"
    min_epochs: int = Field(1, ge=1, le=MOST_EPOCHS, description=_EPOCHS)
    reduction_factor: int = Field(4, ge=2, le=_MOST_FACTOR, description=_FACTOR)


class HyperbandSettings(_Pruner):
    """Optuna's Hyperband."""

    name: Literal["hyperband"] = "hyperband"
    min_epochs: int = Field(1, ge=1, le=MOST_EPOCHS, description=_EPOCHS)
    reduction_factor: int = Field(3, ge=2, le=_MOST_FACTOR, description=_FACTOR)


class NoPrunerSettings(_Pruner):
    """No trial ends early."""

    stops_trials = False
    heeds_folds = True

    name: Literal["none"] = "none"


SamplerSettings = (
    FreezeThawSamplerSettings | TPESettings | GPSettings | GridSettings | RandomSettings
)
PrunerSettings = (
    FreezeThawPrunerSettings
    | MedianSettings
    | HalvingSettings
    | HyperbandSettings
    | NoPrunerSettings
)

SAMPLERS: dict[str, type[SamplerSettings]] = {
    "freeze-thaw": FreezeThawSamplerSettings,
    "tpe": TPESettings,
    "gp": GPSettings,
    "grid": GridSettings,
    "random": RandomSettings,
}
PRUNERS: dict[str, type[PrunerSettings]] = {
    "freeze-thaw": FreezeThawPrunerSettings,
    "median": MedianSettings,
    "halving": HalvingSettings,
    "hyperband": HyperbandSettings,
    "none": NoPrunerSettings,
}
USUAL_PRUNER: dict[str, type[PrunerSettings]] = {
    "freeze-thaw": FreezeThawPrunerSettings,
    "tpe": MedianSettings,
    "gp": MedianSettings,
    "grid": NoPrunerSettings,
    "random": NoPrunerSettings,
}
"""The pruner that goes with each sampler when a space names none."""


class StrategyFault(NamedTuple):
    """One thing about a strategy that can't be used."""

    key: str
    found: object
    allowed: str


class StrategyError(ValueError):
    """A strategy that can't be used, with all its faults."""

    def __init__(self, *faults: StrategyFault) -> None:
        super().__init__(*faults)
        self.faults = faults


def parse_strategy(key: str, entry: object, known: Mapping[str, type[BaseModel]]) -> BaseModel:
    """Validate a strategy given by its name, or as a table of its name and settings.

    Raises:
        StrategyError: There is no such strategy, or a setting it can't take.
    """
    names = ", ".join(f'"{name}"' for name in known)
    allowed = f"{names}, or a table {{name, ...}} of one of them with its settings"
    if isinstance(entry, BaseModel):
        entry = entry.model_dump()
    table: dict[str, Any] = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    name = table.get("name")
    if not isinstance(name, str) or name not in known:
        raise StrategyError(StrategyFault(key, entry, allowed))
    model = known[name]
    try:
        return model.model_validate(table)
    except ValidationError as error:
        faults = [_fault(key, model, dict(problem)) for problem in error.errors()]
        raise StrategyError(*faults) from None


def _fault(key: str, model: type[BaseModel], problem: Mapping[str, Any]) -> StrategyFault:
    setting = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return StrategyFault(key, setting, f"a table of {', '.join(model.model_fields)}")
    description = model.model_fields[setting].description or ""
    return StrategyFault(f"{key}.{setting}", problem["input"], description)
