"""What a loss is: one record beside its module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import nn


_EXACT_IN_FLOATS = 2**53

Number = (
    Annotated[int, Field(ge=-_EXACT_IN_FLOATS, le=_EXACT_IN_FLOATS)]
    | Annotated[float, Field(allow_inf_nan=False)]
)
"""A number that is whole or not, as its user writes it."""

NumberOrNone = Number | None
"""The same, or None where it is left out."""


class LossParameters(BaseModel):
    """The parameters of a loss: names, types, bounds and defaults.

    Each field's description is what an error message prints as "allowed".

    Attributes:
        objects: Names of what else the loss can be given, which no space can write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    objects: ClassVar[frozenset[str]] = frozenset()


class ParameterGroup(NamedTuple):
    """Weights of a loss that the optimizer trains with a learning rate of their own.

    Attributes:
        weights: They.
        lr: Their learning rate; the schedule lowers it as it does all others.
    """

    weights: "Sequence[nn.Parameter]"
    lr: float


Parameters = TypeVar("Parameters", bound=LossParameters)
Module = TypeVar("Module", bound="nn.Module")


@dataclass(frozen=True, repr=False)
class LossRecord(Generic[Parameters, Module]):
    """A loss that embeddings are trained with.

    Its module is called with (N, D) float32 embeddings, not normalised, and (N,) labels in 0..C-1,
    and returns a scalar.

    Attributes:
        name: Its name in a space.
        parameters: Its parameters.
        build: Returns the module, for its parameters, C classes and embeddings of size D.
        groups: The groups of the module's own weights, for its parameters and the learning rate of
            the network. Every weight is in one group.
        sizes: Its parameters that take the more memory, the larger their value.
        needs_positives: Whether it compares images of one class, so that a batch needs several.
        never_waits: Whether its module leaves the host free to run ahead of a GPU: it takes labels
            that lie on the CPU, and makes NaN of NaN without an error.
    """

    name: str
    parameters: type[Parameters]
    build: Callable[[Parameters, int, int], Module]
    groups: Callable[[Module, Parameters, float], Sequence[ParameterGroup]]
    sizes: tuple[str, ...] = ()
    needs_positives: bool = False
    never_waits: bool = False

    def __repr__(self) -> str:
        # Settings written out tell one run from another, in every process.
        return repr(self.name)
