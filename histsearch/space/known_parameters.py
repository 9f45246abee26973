"""The parameters that runs with one loss have: names, types, bounds and defaults."""

import sys
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from histsearch.losses.loss_record import LossParameters, Number, NumberOrNone
from histsearch.space.configuration import (
    Configuration,
    TrainingParameters,
    Value,
    own_name,
    written_name,
)

_STRICT = ConfigDict(strict=True)
_EITHER_NUMBER = (Number, NumberOrNone)

_KINDS: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    Number: "a number",
    NumberOrNone: "a number",
    str: "a word",
    bool: "true or false",
}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_ANY: FieldInfo = Field(description="a number, a word or a switch")


class KnownParameters:
    """The parameters that runs with one loss have: its own, then those of training.

    Args:
        own: The loss's own; None where they aren't known here, so that any further name may be one.
    """

    def __init__(self, own: type[LossParameters] | None) -> None:
        self._own = own
        fields = {} if own is None else own.model_fields
        own_fields = {written_name(name): field for name, field in fields.items()}
        self._fields = {**own_fields, **TrainingParameters.model_fields}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(self._fields)

    @property
    def defaults(self) -> dict[str, Value]:
        """The values that they have where a space gives none, but for those of the backbone."""
        return {
            name: field.default
            for name, field in self._fields.items()
            if not field.is_required() and field.default is not None
        }

    @property
    def required(self) -> tuple[str, ...]:
        """The names of those that a space has to give."""
        return tuple(name for name, field in self._fields.items() if field.is_required())

    @property
    def objects(self) -> frozenset[str]:
        """The names of what the loss can be given besides, and no space can write."""
        return frozenset() if self._own is None else self._own.objects

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name, as far as is known here."""
        return name in self._fields or self._own is None

    def allowed_values(self, name: str) -> str:
        """What parameter ``name`` may be, in words."""
        field = self._fields.get(name, _ANY)
        return field.description or _words(field)

    def is_valid_value(self, name: str, value: object) -> bool:
        """Whether parameter ``name`` may take ``value``."""
        if not is_storable(value):
            return False
        adapter = self._adapters.get(name, _any_value())
        try:
            adapter.validate_python(value)
        except ValidationError:
            return False
        return True

    def is_numeric(self, name: str) -> bool:
        """Whether parameter ``name`` is a number, so that a range of it makes sense."""
        return self._type(name) in (int, float, *_EITHER_NUMBER)

    def is_whole(self, name: str, numbers: Iterable[float | None]) -> bool:
        """Whether a range of parameter ``name`` holds whole numbers only.

        Args:
            name: The parameter.
            numbers: The range's ends, and its step if it has one.
        """
        if self._type(name) in _EITHER_NUMBER:
            return all(isinstance(one, int) for one in numbers if one is not None)
        return self._type(name) is int

    def complete(self, values: Mapping[str, Value]) -> Configuration:
        """A configuration of these values, and of defaults where there are none.

        Raises:
            pydantic.ValidationError: A name or a value isn't allowed, or two values clash.
        """
        named = {name: own_name(name) for name in values}
        own = {own: values[name] for name, own in named.items() if own is not None}
        rest = {name: value for name, value in values.items() if named[name] is None}
        if self._own is not None:
            own = self._own(**own).model_dump(exclude_none=True)
        return Configuration(own, TrainingParameters(**rest))  # type: ignore[arg-type]

    def _type(self, name: str) -> object:
        return _kind(self._fields[name]) if name in self._fields else Number

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {name: _adapter(field) for name, field in self._fields.items()}


def is_storable(value: object) -> bool:
    """Whether a study can keep ``value``: a word, a switch or a finite number."""
    if isinstance(value, int | float):
        return -sys.float_info.max <= value <= sys.float_info.max
    return isinstance(value, str)


def known_parameters(own: type[LossParameters] | None) -> KnownParameters:
    """The parameters of runs with a loss that has these, as in `KnownParameters`."""
    return _known_parameters(own)


_known_parameters = cache(KnownParameters)


def _kind(field: FieldInfo) -> Any:
    """The type of a parameter's values; None stands for a default of the backbone's."""
    if get_origin(field.annotation) not in (Union, UnionType):
        return field.annotation
    kinds = [one for one in get_args(field.annotation) if one is not NoneType]
    return kinds[0] if len(kinds) == 1 else field.annotation


def _words(field: FieldInfo) -> str:
    """What a field without a description may be, by its type and its bounds."""
    kind = _kind(field)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{one}"' for one in get_args(kind))
    bounds = [
        f"{sign} {getattr(constraint, bound)}"
        for constraint in field.metadata
        for bound, sign in _SIGNS.items()
        if hasattr(constraint, bound)
    ]
    return " ".join((_KINDS.get(kind, str(_ANY.description)), " and ".join(bounds))).rstrip()


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotated: Any = Annotated[_kind(field), field]
    return TypeAdapter(annotated, config=_STRICT)


@cache
def _any_value() -> TypeAdapter[Any]:
    return TypeAdapter(Number | bool | str, config=_STRICT)
