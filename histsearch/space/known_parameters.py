"""The parameters that runs with one loss have: names, types, bounds and defaults."""

from collections.abc import Mapping
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from histsearch.exceptions import SpaceError
from histsearch.losses.loss_record import LossParameters
from histsearch.space.configuration import Configuration, TrainingParameters, Value


class KnownParameters:
    """The parameters that runs with one loss have: its own, then those of training.

    Args:
        own: The loss's own.

    Raises:
        SpaceError: One of these has the name of a parameter of training.
    """

    def __init__(self, own: type[LossParameters]) -> None:
        clashing = own.model_fields.keys() & TrainingParameters.model_fields.keys()
        if clashing:
            raise SpaceError(
                f"{own.__name__}: found {', '.join(sorted(clashing))}, which every training has, "
                "allowed: names of its own"
            )
        self._own = own
        self._fields = {**own.model_fields, **TrainingParameters.model_fields}

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

    def allowed_values(self, name: str) -> str:
        """What parameter ``name`` may be, in words."""
        description = self._fields[name].description
        assert description is not None
        return description

    def is_valid_value(self, name: str, value: object) -> bool:
        """Whether parameter ``name`` may take ``value``."""
        try:
            self._adapters[name].validate_python(value)
        except ValidationError:
            return False
        return True

    def is_numeric(self, name: str) -> bool:
        """Whether parameter ``name`` is a number, so that a range of it makes sense."""
        return _kind(self._fields[name]) in (int, float)

    def is_whole(self, name: str) -> bool:
        """Whether parameter ``name`` takes whole numbers only."""
        return _kind(self._fields[name]) is int

    def complete(self, values: Mapping[str, Value]) -> Configuration:
        """A configuration of these values, and of defaults where there are none.

        Raises:
            pydantic.ValidationError: A name or a value isn't allowed, or two values clash.
        """
        own = {name: value for name, value in values.items() if name in self._own.model_fields}
        rest = {name: value for name, value in values.items() if name not in own}
        return Configuration(self._own(**own).model_dump(), TrainingParameters(**rest))  # type: ignore[arg-type]

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {name: _adapter(field) for name, field in self._fields.items()}


@cache
def known_parameters(own: type[LossParameters]) -> KnownParameters:
    """The parameters of runs with a loss that has these."""
    return KnownParameters(own)


def _kind(field: FieldInfo) -> Any:
    """The type of a parameter's values; None stands for a default of the backbone's."""
    if get_origin(field.annotation) not in (Union, UnionType):
        return field.annotation
    (kind,) = (one for one in get_args(field.annotation) if one is not NoneType)
    return kind


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotated: Any = Annotated[_kind(field), field]
    return TypeAdapter(annotated, config=ConfigDict(strict=True))
