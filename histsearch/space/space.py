"""Search spaces: what a study searches, what it keeps fixed, and how it judges."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from histsearch.data.hold_out import USUAL_HOLD_OUT, HoldOut
from histsearch.data.known_datasets import find_dataset
from histsearch.exceptions import SpaceError
from histsearch.models.initial_weights import PRETRAINED_WEIGHTS, RANDOM_WEIGHTS
from histsearch.models.known_backbones import check_backbone_name, starts_pretrained
from histsearch.models.preprocessing import MOST_PIXELS
from histsearch.plain_text import is_plain
from histsearch.retrieval.known_metrics import OBJECTIVES, USUAL_OBJECTIVE, Metric, find_metric
from histsearch.space.baselines import (
    BASELINE_TABLES,
    Baseline,
    baseline_faults,
    check_list,
    parse_baseline,
)
from histsearch.space.checks import configuration_faults, unknown_name, value_fault
from histsearch.space.configuration import MOST_EPOCHS, Configuration, Value
from histsearch.space.contradictions import Draft, contradictions, grid_faults
from histsearch.space.known_parameters import KnownParameters, known_parameters
from histsearch.space.loss_choice import LossChoice
from histsearch.space.names import NAME_ALLOWED, NAME_PATTERN
from histsearch.space.parameters import Parameter, parse_parameter
from histsearch.space.refusals import RefusedError, joined, refuse_all, refused, show
from histsearch.space.strategies import (
    MOST_TRIALS,
    PRUNERS,
    SAMPLERS,
    USUAL_PRUNER,
    FreezeThawSamplerSettings,
    GridSettings,
    PrunerSettings,
    SamplerSettings,
    StrategyError,
    parse_strategy,
)

Precision = Literal["fp32", "bf16"]
"""What a network is trained with: float32, or bfloat16 where autocast takes it."""

Determinism = Literal["exact", "fast"]
"""Whether a GPU repeats a run bit for bit, or takes the algorithms that are fastest there."""

_LONGEST_TEXT = 1_000
_MOST_RETRIES = 1_000
_MOST_ENQUEUED = 1_000
_MOST_FOLDS = 20
_SMALLEST_CAP = 16


def _usual_weights(space: dict[str, Any]) -> str:
    return PRETRAINED_WEIGHTS if starts_pretrained(space["backbone"]) else RANDOM_WEIGHTS


def _checked_text(text: str, info: ValidationInfo) -> str:
    """Refuse what a new space may not hold; studies of earlier versions may have such a text."""
    if info.context is None:
        return text
    key = str(info.field_name)
    if len(text) > _LONGEST_TEXT:
        raise refused(key, f"{len(text):,} characters", f"up to {_LONGEST_TEXT:,} characters")
    if not is_plain(text):
        raise refused(key, show(text), "text without control characters and invisible marks")
    return text


def _checked_dataset(name: str, info: ValidationInfo) -> str:
    return _translated(find_dataset, name, info)


def _checked_backbone(name: str, info: ValidationInfo) -> str:
    return _translated(check_backbone_name, name, info)


def _checked_objective(name: str) -> str:
    try:
        find_metric(name)
    except SpaceError as error:
        raise ValueError(str(error)) from error
    return name


def _translated(check: Any, name: str, info: ValidationInfo) -> str:
    try:
        if isinstance(info.context, Draft) and info.context.is_new:
            check(name)
    except SpaceError as error:
        raise ValueError(str(error)) from error
    return name


def _known(loss: LossChoice, info: ValidationInfo) -> KnownParameters:
    """The parameters of a loss, all of them where it was looked up."""
    if isinstance(info.context, Draft) and info.context.loss is not None:
        return known_parameters(info.context.loss.parameters)
    return loss.parameters


_Text = Annotated[str, AfterValidator(_checked_text)]


def _usual_fraction(protocol: dict[str, Any]) -> float:
    folds = protocol.get("folds", 1)  # missing where it is refused itself
    return USUAL_HOLD_OUT.fraction if folds == 1 else 1 / folds


class Protocol(BaseModel):
    """How trials are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    validation: Literal["held-out", "test"] = Field(
        "held-out",
        description='"held-out" (classes held out of the training half) or "test" (the paper\'s)',
    )
    folds: int = Field(
        USUAL_HOLD_OUT.folds,
        ge=1,
        le=_MOST_FOLDS,
        description=f"a whole number from 1 to {_MOST_FOLDS}",
    )
    validation_fraction: float = Field(
        default_factory=_usual_fraction,
        gt=0,
        lt=1,
        description="a number between 0 and 1 (part of the training classes)",
    )
    seed: int = Field(
        USUAL_HOLD_OUT.seed, ge=0, lt=2**32, description="a whole number from 0 to 4294967295"
    )
    objective: Annotated[str, AfterValidator(_checked_objective)] = Field(
        USUAL_OBJECTIVE.name, description=OBJECTIVES
    )

    @property
    def metric(self) -> Metric:
        """The metric that is maximised."""
        return find_metric(self.objective)

    @property
    def hold_out(self) -> HoldOut | None:
        """The classes that validate; None where those of the test half do."""
        if self.validation == "test":
            return None
        return HoldOut(self.validation_fraction, self.seed, self.folds)


class Decided(BaseModel):
    """When the winner of a search is decided.

    It is when the probability that some configuration is better than the winner by more than
    ``delta`` points of the objective has fallen below ``epsilon``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    delta: float = Field(
        0.5, gt=0, allow_inf_nan=False, description="a number > 0 (points of the objective)"
    )
    epsilon: float = Field(0.05, gt=0, lt=1, description="a number between 0 and 1")


def _usually_decided(space: dict[str, Any]) -> Decided | None:
    return Decided() if space["sampler"].decides else None


def _usual_pruner(space: dict[str, Any]) -> PrunerSettings:
    return USUAL_PRUNER[space["sampler"].name]()


class Space(BaseModel):
    """A validated search space; construct it through `load_space` or `parse_space`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(
        pattern=NAME_PATTERN,
        description=NAME_ALLOWED,
    )
    dataset: Annotated[_Text, AfterValidator(_checked_dataset)] = Field(
        description="a data set's name"
    )
    backbone: Annotated[_Text, AfterValidator(_checked_backbone)] = Field(
        description="a backbone's name"
    )
    weights: _Text = Field(
        default_factory=_usual_weights,
        min_length=1,
        description='"pretrained", "none" (random initialisation) or a weights file',
    )
    loss: LossChoice = Field(LossChoice(), description="a table {name, miner}")
    epochs: int = Field(ge=1, le=MOST_EPOCHS, description=f"a whole number from 1 to {MOST_EPOCHS}")
    trials: int = Field(ge=1, le=MOST_TRIALS, description=f"a whole number from 1 to {MOST_TRIALS}")
    sampler: SamplerSettings = Field(
        FreezeThawSamplerSettings(), description="a sampler's name, or a table {name, ...}"
    )
    pruner: PrunerSettings = Field(
        default_factory=_usual_pruner, description="a pruner's name, or a table {name, ...}"
    )
    gpu_hours: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="a number > 0, or false"
    )
    decided: Decided | None = Field(
        default_factory=_usually_decided, description="a table {delta, epsilon}, or false"
    )
    max_retries: int = Field(
        3, ge=0, le=_MOST_RETRIES, description=f"a whole number from 0 to {_MOST_RETRIES}"
    )
    on_bad_image: Literal["fail", "skip"] = Field(
        "fail", description='"fail" or "skip" (leave out images that can\'t be read)'
    )
    precision: Precision = Field(
        "fp32", description='"fp32" or "bf16" (autocast to bfloat16, weights and loss in float32)'
    )
    determinism: Determinism = Field(
        "exact", description='"exact" (a GPU repeats a run bit for bit) or "fast"'
    )
    image_size_cap: int | None = Field(
        None,
        ge=_SMALLEST_CAP,
        le=MOST_PIXELS,
        description=f"a whole number from {_SMALLEST_CAP} to {MOST_PIXELS} (pixels)",
    )
    search: dict[str, Parameter] = Field(description="a table of parameters")
    fixed: dict[str, Value] = Field({}, description="a table of parameters")
    protocol: Protocol = Field(Protocol(), description="a table {validation, ...}")
    enqueue: tuple[dict[str, Any], ...] = Field(
        (), strict=False, description="tables [[enqueue]] of searched parameters"
    )
    baseline: tuple[dict[str, Any], ...] = Field((), strict=False, description=BASELINE_TABLES)

    @field_validator("*", mode="after")
    @classmethod
    def _note(cls, part: object, info: ValidationInfo) -> object:
        if isinstance(info.context, Draft):
            info.context.parts.setdefault(str(info.field_name), part)
        return part

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _parse_strategy(cls, entry: object, info: ValidationInfo) -> object:
        known: Mapping[str, type[BaseModel]] = SAMPLERS if info.field_name == "sampler" else PRUNERS
        try:
            return parse_strategy(str(info.field_name), entry, known)
        except StrategyError as error:
            raise joined(
                refused(key, show(found), allowed) for key, found, allowed in error.faults
            ) from None

    @field_validator("gpu_hours", "decided", mode="before")
    @classmethod
    def _parse_limit(cls, entry: object) -> object:
        return None if entry is False else entry

    @field_validator("search", mode="before")
    @classmethod
    def _parse_search(cls, entries: object, info: ValidationInfo) -> dict[str, Parameter]:
        if not isinstance(entries, dict) or not entries:
            raise refused("search", show(entries), "a table of at least one parameter")
        loss: LossChoice | None = info.data.get("loss")
        if loss is None:  # refused itself
            return {}
        parameters: dict[str, Parameter] = {}
        faults = []
        for name, entry in entries.items():
            try:
                parameters[name] = _parse_entry(name, entry, _known(loss, info))
            except RefusedError as fault:
                faults.append(fault)
        _note_part(info, parameters)
        refuse_all(faults)
        return parameters

    @field_validator("fixed", mode="before")
    @classmethod
    def _check_fixed(cls, entries: object, info: ValidationInfo) -> dict[str, Value]:
        if not isinstance(entries, dict):
            raise refused("fixed", show(entries), "a table of parameters")
        loss: LossChoice | None = info.data.get("loss")
        if loss is None:  # refused itself
            return {}
        faults = {
            name: value_fault("fixed", name, value, _known(loss, info))
            for name, value in entries.items()
        }
        _note_part(info, {name: entries[name] for name, fault in faults.items() if fault is None})
        refuse_all(fault for fault in faults.values() if fault is not None)
        return entries

    @field_validator("enqueue", mode="before")
    @classmethod
    def _check_enqueue(cls, entries: object, info: ValidationInfo) -> object:
        allowed = "tables [[enqueue]] of searched parameters"
        if not isinstance(entries, list | tuple):
            raise refused("enqueue", show(entries), allowed)
        if len(entries) > _MOST_ENQUEUED:
            raise refused("enqueue", f"{len(entries):,} tables", f"up to {_MOST_ENQUEUED:,}")
        _note_part(info, [entry if isinstance(entry, dict) else None for entry in entries])
        refuse_all(
            refused(f"enqueue[{number}]", show(entry), allowed)
            for number, entry in enumerate(entries)
            if not isinstance(entry, dict)
        )
        return entries

    @field_validator("baseline", mode="before")
    @classmethod
    def _check_baselines(cls, entries: object, info: ValidationInfo) -> object:
        loss: LossChoice | None = info.data.get("loss")
        if loss is None:  # refused itself
            return ()
        tables = check_list(entries)
        faults = baseline_faults(tables, _known(loss, info))
        usable = [
            table if fault is None else None for table, fault in zip(tables, faults, strict=True)
        ]
        _note_part(info, usable)
        refuse_all(fault for fault in faults if fault is not None)
        return entries

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out baselines where there are none, as earlier versions know no such key."""
        kept: dict[str, Any] = handler(self)
        if not self.baseline:
            kept.pop("baseline", None)
        return kept

    @model_validator(mode="after")
    def _check_together(self, info: ValidationInfo) -> Self:
        whole = Draft(given=dict(self), parts=dict(self), is_new=False)
        if isinstance(info.context, Draft):
            whole = replace(info.context, given=whole.given, parts=whole.parts)
        refuse_all(contradictions(whole))
        return self

    def check_budget(self, trials: int) -> None:
        """Check that a grid has a point, with fold and seed, for each of ``trials`` trials.

        Raises:
            ValueError: The space is sampled as a grid, and that has fewer points or a range.
        """
        if not isinstance(self.sampler, GridSettings):
            return
        seeds = self.sampler.seeds
        refuse_all(grid_faults(self.search, trials, folds=self.protocol.folds, seeds=seeds))

    @property
    def parameters(self) -> KnownParameters:
        """The parameters that its runs have."""
        return self.loss.parameters

    @property
    def min_epochs(self) -> int | None:
        """How long a trial runs at least before it is paused; None for the pruner's usual."""
        return self.pruner.fewest_epochs

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The configurations that its winner may be compared with, beside the first enqueued."""
        return tuple(map(parse_baseline, self.baseline))

    def complete(self, configuration: Mapping[str, Value]) -> Configuration:
        """The complete parameters of a trial: ``configuration`` over ``[fixed]``."""
        return self.parameters.complete({**self.fixed, **configuration})

    def check_configuration(self, configuration: Mapping[str, Value]) -> None:
        """Check values for searched parameters, for instance before enqueueing them.

        Raises:
            SpaceError: A name isn't searched, or a value isn't in its list or range.
        """
        try:
            refuse_all(
                configuration_faults("configuration", self.search, configuration, self.parameters)
            )
        except RefusedError as error:
            raise SpaceError(*error.lines) from None


def _parse_entry(name: str, entry: object, known: KnownParameters) -> Parameter:
    if not known.has(name):
        raise unknown_name("search", name, known)
    return parse_parameter(name, entry, known)


def _note_part(info: ValidationInfo, part: object) -> None:
    """Keep what is valid of a part that may be refused."""
    if isinstance(info.context, Draft):
        info.context.parts[str(info.field_name)] = part
