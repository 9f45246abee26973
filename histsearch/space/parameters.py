"""The values that a parameter may take in a search: a list of them, or a range."""

import math
import sys
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from histsearch.space.configuration import Value
from histsearch.space.known_parameters import KnownParameters
from histsearch.space.refusals import refuse_all, refused, show

_MOST_VALUES = 1_000
_MOST_STEPS = 1_000_000
_STEP_TOLERANCE = 1e-9


class Range(BaseModel):
    """Every number from ``low`` to ``high``, in steps of ``step`` where one is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @property
    def numbers(self) -> tuple[int | float | None, ...]:
        """Its ends and its step, None where it has none."""
        return self.low, self.high, self.step

    def of_floats(self) -> Self:
        """The same range with its ends and its step as floats."""
        step = None if self.step is None else float(self.step)
        return self.model_copy(
            update={"low": float(self.low), "high": float(self.high), "step": step}
        )

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


def _has_finite_width(low: float, high: float) -> bool:
    # Python's whole numbers may exceed every float, and such a one can't be subtracted from one.
    most = sys.float_info.max
    return -most <= low and high <= most and high - low <= most


def _on_grid(low: float, step: float, value: float) -> bool:
    steps = (value - low) / step
    return math.isclose(steps, round(steps), abs_tol=_STEP_TOLERANCE * max(1.0, abs(steps)))


Parameter = tuple[Value, ...] | Range


def tried_values(parameter: Parameter) -> tuple[Value, ...]:
    """Each value of a list, or the ends of a range."""
    return (parameter.low, parameter.high) if isinstance(parameter, Range) else parameter


def parse_parameter(name: str, entry: object, known: KnownParameters) -> Parameter:
    """The values or the range of parameter ``name``, as a space gives them.

    Raises:
        RefusedError: It isn't one, or holds values that the parameter can't take.
    """
    key = f"search.{name}"
    if isinstance(entry, Range):
        return entry
    if isinstance(entry, list | tuple):
        return _parse_choices(key, name, list(entry), known)
    if isinstance(entry, dict) and known.is_numeric(name):
        return _parse_range(key, name, entry, known)
    forms = f"a list of values, each {known.allowed_values(name)}"
    if known.is_numeric(name):
        forms += ", or a table {low, high, log, step}"
    raise refused(key, show(entry), forms)


def _parse_choices(
    key: str, name: str, values: list[Any], known: KnownParameters
) -> tuple[Value, ...]:
    if not values:
        raise refused(key, show(values), "a list of at least one value")
    if len(values) > _MOST_VALUES:
        raise refused(key, f"{len(values):,} values", f"a list of up to {_MOST_VALUES:,} values")
    _refuse_invalid(key, name, values, known)
    if len(set(values)) < len(values):
        raise refused(key, show(values), "every value once")
    return tuple(values)


def _parse_range(key: str, name: str, entry: dict[str, Any], known: KnownParameters) -> Range:
    form = "a table {low, high, log, step} with low and high numbers, log true or false"
    try:
        parameter = Range.model_validate(entry)
    except ValidationError as error:
        raise refused(key, show(entry), form) from error
    _refuse_invalid(key, name, (parameter.low, parameter.high), known)
    _check_range(key, parameter, whole=known.is_whole(name, parameter.numbers))
    return parameter


def _refuse_invalid(key: str, name: str, values: Iterable[object], known: KnownParameters) -> None:
    allowed = known.allowed_values(name)
    invalid = (value for value in values if not known.is_valid_value(name, value))
    refuse_all(refused(key, show(value), allowed) for value in invalid)


def _check_range(key: str, parameter: Range, *, whole: bool) -> None:
    low, high, step = parameter.low, parameter.high, parameter.step
    if low >= high:
        raise refused(key, f"low {show(low)}, high {show(high)}", "low below high")
    if not _has_finite_width(low, high):
        raise refused(key, f"low {show(low)}, high {show(high)}", "a range whose width is finite")
    if parameter.log and low <= 0:
        raise refused(key, f"low {low} with log", "low > 0 on a log scale")
    if step is None:
        return
    found = f"step {show(step)}"
    if parameter.log:
        raise refused(key, f"{found} with log", "either step or log, not both")
    if not 0 < step < math.inf or (whole and not isinstance(step, int)):
        raise refused(key, found, "a step > 0, whole for whole numbers")
    if step > high - low or not _on_grid(low, step, high):
        raise refused(
            key, f"low {low}, high {high}, {found}", "a step that leads from low exactly to high"
        )
    if (high - low) / step > _MOST_STEPS:
        raise refused(key, found, f"a step that leads to high in up to {_MOST_STEPS:,} steps")
