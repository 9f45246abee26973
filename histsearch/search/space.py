"""Search spaces: what a study searches, what it keeps fixed, and how it judges.

A space is a TOML file. The ones in ``spaces/`` at the repository's root travel inside the wheel
and are known by name.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from histsearch.data.catalog import check_dataset_name
from histsearch.data.hold_out import USUAL_HOLD_OUT, HoldOut
from histsearch.exceptions import SpaceError
from histsearch.models.catalog import find_backbone
from histsearch.search.strategies import (
    PRUNERS,
    SAMPLERS,
    USUAL_PRUNER,
    HistPrunerSettings,
    HistSamplerSettings,
    PrunerSettings,
    SamplerSettings,
    StrategyError,
    parse_strategy,
)
from histsearch.training import hyperparameters
from histsearch.training.hyperparameters import Hyperparameters, Value

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
NAME_ALLOWED = "up to 100 letters, digits, dots, dashes and underscores, first a letter or digit"

_STEP_TOLERANCE = 1e-9


class _Refused(ValueError):
    """One key of a space that can't be used: what stood there and what may."""

    def __init__(self, key: str, found: str, allowed: str) -> None:
        super().__init__(f"{key}: found {found}, allowed: {allowed}")


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    return str(value)


class Range(BaseModel):
    """Every number from ``low`` to ``high``, in steps of ``step`` where one is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def holds(self, value: object) -> bool:
        """Whether ``value`` lies in the range and on its grid."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        return self.step is None or _on_grid(self.low, self.step, value)

    def __str__(self) -> str:
        scale = ", log scale" if self.log else ""
        step = f" in steps of {self.step}" if self.step is not None else ""
        return f"{self.low} to {self.high}{step}{scale}"


def _on_grid(low: float, step: float, value: float) -> bool:
    steps = (value - low) / step
    return math.isclose(steps, round(steps), abs_tol=_STEP_TOLERANCE * max(1.0, abs(steps)))


Domain = tuple[Value, ...] | Range


def _parse_domain(name: str, entry: object) -> Domain:
    key = f"search.{name}"
    if isinstance(entry, Range):
        return entry
    if isinstance(entry, list | tuple):
        return _parse_choices(key, name, list(entry))
    if isinstance(entry, dict) and hyperparameters.is_numeric(name):
        return _parse_range(key, name, entry)
    forms = f"a list of values, each {hyperparameters.allowed(name)}"
    if hyperparameters.is_numeric(name):
        forms += ", or a table {low, high, log, step}"
    raise _Refused(key, _show(entry), forms)


def _parse_choices(key: str, name: str, values: list[Any]) -> tuple[Value, ...]:
    if not values:
        raise _Refused(key, _show(values), "a list of at least one value")
    for value in values:
        if not hyperparameters.is_valid(name, value):
            raise _Refused(key, _show(value), hyperparameters.allowed(name))
    if len(set(values)) < len(values):
        raise _Refused(key, _show(values), "every value once")
    return tuple(values)


def _parse_range(key: str, name: str, entry: dict[str, Any]) -> Range:
    form = "a table {low, high, log, step} with low and high numbers, log true or false"
    try:
        domain = Range.model_validate(entry)
    except ValidationError as error:
        raise _Refused(key, _show(entry), form) from error
    for bound in (domain.low, domain.high):
        if not hyperparameters.is_valid(name, bound):
            raise _Refused(key, _show(bound), hyperparameters.allowed(name))
    _check_range(key, name, domain)
    return domain


def _check_range(key: str, name: str, domain: Range) -> None:
    if domain.low >= domain.high:
        raise _Refused(key, f"low {domain.low}, high {domain.high}", "low below high")
    if domain.log and domain.low <= 0:
        raise _Refused(key, f"low {domain.low} with log", "low > 0 on a log scale")
    if domain.step is None:
        return
    if domain.log:
        raise _Refused(key, f"step {domain.step} with log", "either step or log, not both")
    if not 0 < domain.step < math.inf or (
        hyperparameters.is_whole(name) and not isinstance(domain.step, int)
    ):
        raise _Refused(key, f"step {domain.step}", "a step > 0, whole for whole numbers")
    if not _on_grid(domain.low, domain.step, domain.high):
        raise _Refused(
            key,
            f"low {domain.low}, high {domain.high}, step {domain.step}",
            "a step that leads from low exactly to high",
        )


def _usual_weights(space: dict[str, Any]) -> str:
    return "pretrained" if find_backbone(space["backbone"]).pretrained else "none"


def _checked_dataset(name: str) -> str:
    return _translated(check_dataset_name, name)


def _checked_backbone(name: str) -> str:
    return _translated(find_backbone, name)


def _translated(check: Any, name: str) -> str:
    try:
        check(name)
    except SpaceError as error:
        raise ValueError(str(error)) from error
    return name


class Protocol(BaseModel):
    """How trials are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    validation: Literal["held-out", "test"] = Field(
        "held-out",
        description='"held-out" (classes held out of the training half) or "test" (the paper\'s)',
    )
    validation_fraction: float = Field(
        USUAL_HOLD_OUT.fraction,
        gt=0,
        lt=1,
        description="a number between 0 and 1 (part of the training classes)",
    )
    seed: int = Field(
        USUAL_HOLD_OUT.seed, ge=0, lt=2**32, description="a whole number from 0 to 4294967295"
    )

    @property
    def hold_out(self) -> HoldOut | None:
        """The classes that validate; None where those of the test half do."""
        if self.validation == "test":
            return None
        return HoldOut(self.validation_fraction, self.seed)


class Decided(BaseModel):
    """When the winner of a search is decided.

    It is when the probability that some configuration is better than the winner by more than
    ``delta`` points of R@1 has fallen below ``epsilon``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    delta: float = Field(0.5, gt=0, allow_inf_nan=False, description="a number > 0 (points of R@1)")
    epsilon: float = Field(0.05, gt=0, lt=1, description="a number between 0 and 1")


def _usually_decided(space: dict[str, Any]) -> Decided | None:
    return Decided() if space["sampler"].name == "hist" else None


def _usual_pruner(space: dict[str, Any]) -> PrunerSettings:
    return USUAL_PRUNER[space["sampler"].name]()


class Space(BaseModel):
    """A validated search space; construct it through `load_space` or `parse_space`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(
        pattern=NAME_PATTERN,
        description=NAME_ALLOWED,
    )
    dataset: Annotated[str, AfterValidator(_checked_dataset)] = Field(
        description="a data set's name"
    )
    backbone: Annotated[str, AfterValidator(_checked_backbone)] = Field(
        description="a backbone's name"
    )
    weights: str = Field(
        default_factory=_usual_weights,
        min_length=1,
        description='"pretrained", "none" (random initialisation) or a weights file',
    )
    epochs: int = Field(ge=1, description="a whole number >= 1")
    trials: int = Field(ge=1, description="a whole number >= 1")
    sampler: SamplerSettings = Field(
        HistSamplerSettings(), description="a sampler's name, or a table {name, ...}"
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
    max_retries: int = Field(3, ge=0, description="a whole number >= 0")
    on_bad_image: Literal["fail", "skip"] = Field(
        "fail", description='"fail" or "skip" (leave out images that can\'t be read)'
    )
    search: dict[str, Domain] = Field(description="a table of hyperparameters")
    fixed: dict[str, Value] = Field({}, description="a table of hyperparameters")
    protocol: Protocol = Field(Protocol(), description="a table {validation, ...}")
    enqueue: tuple[dict[str, Value], ...] = Field(
        (), strict=False, description="tables [[enqueue]] of searched hyperparameters"
    )

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _parse_strategy(cls, entry: object, info: ValidationInfo) -> object:
        known: Mapping[str, type[BaseModel]] = SAMPLERS if info.field_name == "sampler" else PRUNERS
        try:
            return parse_strategy(str(info.field_name), entry, known)
        except StrategyError as error:
            raise _Refused(error.key, _show(error.found), error.allowed) from None

    @field_validator("gpu_hours", "decided", mode="before")
    @classmethod
    def _parse_limit(cls, entry: object) -> object:
        return None if entry is False else entry

    @field_validator("search", mode="before")
    @classmethod
    def _parse_search(cls, entries: object) -> dict[str, Domain]:
        if not isinstance(entries, dict) or not entries:
            raise _Refused("search", _show(entries), "a table of at least one hyperparameter")
        _check_names("search", entries)
        return {name: _parse_domain(name, entry) for name, entry in entries.items()}

    @field_validator("fixed", mode="before")
    @classmethod
    def _check_fixed(cls, entries: object) -> dict[str, Value]:
        if not isinstance(entries, dict):
            raise _Refused("fixed", _show(entries), "a table of hyperparameters")
        check_hyperparameters("fixed", entries)
        return entries

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for name in self.search:
            if name in self.fixed:
                raise _Refused(
                    f"fixed.{name}",
                    _show(self.fixed[name]),
                    "each hyperparameter in [search] or [fixed] once",
                )
        if self.weights == "pretrained" and not find_backbone(self.backbone).pretrained:
            raise _Refused(
                "weights",
                '"pretrained"',
                f'"none" or a weights file, as there are none for {self.backbone}',
            )
        self._check_strategies()
        self.check_budget(self.trials)
        for number, configuration in enumerate(self.enqueue):
            _check_configuration(f"enqueue[{number}]", self.search, configuration)
        for images_per_class in self._possible("images_per_class"):
            self._check_whole_classes(images_per_class)
        return self

    def _check_strategies(self) -> None:
        if self.sampler.name == "grid" and self.pruner.name != "none":
            raise _Refused("pruner", _show(self.pruner.name), '"none", as the sampler is a grid')
        if self.sampler.name != "hist" and self.pruner.name == "hist":
            raise _Refused(
                "pruner", '"hist"', f'another pruner, as the sampler is "{self.sampler.name}"'
            )
        fewest = getattr(self.pruner, "min_epochs", None) or 1
        if fewest > self.epochs:
            raise _Refused(
                "pruner.min_epochs",
                _show(fewest),
                f"a whole number from 1 to epochs, {self.epochs}",
            )
        if self.sampler.name != "hist" and self.decided is not None:
            raise _Refused(
                "decided",
                _show(self.decided.model_dump()),
                f'with the sampler "hist" alone, not "{self.sampler.name}"',
            )

    def check_budget(self, trials: int) -> None:
        """Check that the space has a configuration for each of ``trials`` trials.

        Raises:
            ValueError: the space is sampled as a grid, and that has fewer points or a range.
        """
        if self.sampler.name != "grid":
            return
        points = 1
        for name, domain in self.search.items():
            if isinstance(domain, Range):
                raise _Refused(f"search.{name}", str(domain), "a list, as the sampler is a grid")
            points *= len(domain)
        if trials > points:
            raise _Refused("trials", str(trials), f"at most {points}, the points of the grid")

    def _check_whole_classes(self, images_per_class: int) -> None:
        if not images_per_class:
            return
        domain = self.search.get("batch_size")
        sizes = self._possible("batch_size")
        if isinstance(domain, Range):
            # When these two hold whole classes, so does every other size of the range.
            sizes = iter((int(domain.low), int(domain.low + (domain.step or 1))))
        for batch_size in sizes:
            if batch_size % images_per_class:
                raise _Refused(
                    "images_per_class",
                    f"{images_per_class} with batch_size {batch_size}",
                    hyperparameters.allowed("images_per_class"),
                )

    def _possible(self, name: str) -> Iterator[int]:
        domain = self.search.get(name)
        if isinstance(domain, Range):
            yield from range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
        elif domain is not None:
            yield from (int(value) for value in domain)
        else:
            yield int(self.fixed.get(name, Hyperparameters.model_fields[name].default))

    @property
    def min_epochs(self) -> int | None:
        """How long a trial runs at least before the hist pruner leaves it; None for its usual."""
        return self.pruner.min_epochs if isinstance(self.pruner, HistPrunerSettings) else None

    def hyperparameters(self, configuration: Mapping[str, Value]) -> Hyperparameters:
        """The complete hyperparameters of a trial: ``configuration`` over ``[fixed]``."""
        return Hyperparameters(**{**self.fixed, **configuration})  # type: ignore[arg-type]

    def check_configuration(self, configuration: Mapping[str, Value]) -> None:
        """Check values for searched hyperparameters, for instance before enqueueing them.

        Raises:
            SpaceError: a name isn't searched, or a value isn't in its list or range.
        """
        try:
            _check_configuration("configuration", self.search, configuration)
        except _Refused as error:
            raise SpaceError(str(error)) from None


def check_hyperparameters(table: str, values: Mapping[str, object]) -> None:
    """Check names and values of hyperparameters that stand under ``table``.

    Raises:
        ValueError: There is no such hyperparameter, or it can't take the value.
    """
    _check_names(table, values)
    for name, value in values.items():
        if not hyperparameters.is_valid(name, value):
            raise _Refused(f"{table}.{name}", _show(value), hyperparameters.allowed(name))


def _check_names(table: str, entries: Mapping[str, object]) -> None:
    for name in entries:
        if name in hyperparameters.NAMES:
            continue
        near = get_close_matches(name, hyperparameters.NAMES, n=1)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        raise _Refused(table, _show(name), f"{hint}one of {', '.join(hyperparameters.NAMES)}")


def _check_configuration(
    key: str, search: Mapping[str, Domain], configuration: Mapping[str, Value]
) -> None:
    if not configuration:
        raise _Refused(key, "nothing", f"values for {', '.join(search)}")
    for name, value in configuration.items():
        domain = search.get(name)
        if domain is None:
            raise _Refused(key, _show(name), f"searched hyperparameters: {', '.join(search)}")
        if isinstance(domain, Range):
            if not (domain.holds(value) and hyperparameters.is_valid(name, value)):
                raise _Refused(f"{key}.{name}", _show(value), str(domain))
        elif not (value in domain and hyperparameters.is_valid(name, value)):
            raise _Refused(f"{key}.{name}", _show(value), f"one of {_show(domain)}")


def builtin_spaces() -> dict[str, Path]:
    """The spaces that come with histsearch, by name."""
    package = Path(__file__).parents[1]
    installed, checkout = package / "spaces", package.parent / "spaces"
    folder = installed if installed.is_dir() else checkout
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*.toml"))
    }


def load_space(name_or_path: str) -> Space:
    """Read the space that comes with histsearch under that name, or a TOML file.

    Raises:
        SpaceError: there is no such space or file, or it can't be used.
    """
    builtin = builtin_spaces()
    path = builtin.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise SpaceError(
            f'found no space "{name_or_path}"; give the path of a TOML file or one of: '
            + ", ".join(builtin)
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: not a TOML file: {error}") from error
    return parse_space(table, source=str(path))


def parse_space(table: Mapping[str, Any], *, source: str) -> Space:
    """Validate a space given as a table; ``source`` names it in errors.

    Raises:
        SpaceError: one line for each key that can't be used.
    """
    try:
        return Space.model_validate(dict(table))
    except ValidationError as error:
        lines = [
            f"{source}: {_explain(dict(problem))}"
            for problem in error.errors()
            if problem["type"] != "default_factory_not_called"  # a consequence of another
        ]
        raise SpaceError("\n".join(dict.fromkeys(lines))) from None


def _explain(problem: dict[str, Any]) -> str:
    location = problem["loc"]
    if location[:1] == ("enqueue",) and len(location) > 1:
        location = (f"enqueue[{location[1]}]", *location[2:3])
    key = ".".join(str(part) for part in location)
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, _Refused):
        return str(cause)
    if cause is not None:
        return f"{key}: {cause}"
    owner, _, field = key.rpartition(".")
    tables: dict[str, type[BaseModel]] = {"protocol": Protocol, "decided": Decided}
    fields = tables.get(owner, Space).model_fields
    if problem["type"] == "extra_forbidden":
        return f"{key}: found an unknown key, allowed: {', '.join(fields)}"
    name = field if field in fields else str(problem["loc"][0])
    fields = fields if name in fields else Space.model_fields
    allowed = fields[name].description
    found = "nothing" if problem["type"] == "missing" else _show(problem["input"])
    return f"{key}: found {found}, allowed: {allowed}"
