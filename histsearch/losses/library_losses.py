"""Losses and miners of pytorch-metric-learning, which is optional.

Musgrave et al., "PyTorch Metric Learning" (2020). What a loss of it is called, takes and needs is
read off its class.
"""

# N = batch, D = embedding size

import inspect
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytorch_metric_learning
import torch
from pydantic import Field, create_model
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.utils import common_functions
from torch import Tensor, nn

from histsearch.exceptions import SpaceError
from histsearch.losses.loss_record import (
    LossParameters,
    LossRecord,
    Number,
    NumberOrNone,
    ParameterGroup,
)
from histsearch.losses.trial_batch import BUILD_ERRORS, reason_of

_PREFIX = "pml:"
_MINER_PREFIX = "miner."
_LR_FACTOR = "loss_lr_factor"

# Arguments that follow from the images and the configuration.
_CLASS_COUNTS = ("num_classes",)
_EMBEDDING_SIZES = ("embedding_size", "descriptors_dim")
_TOLD = (*_CLASS_COUNTS, *_EMBEDDING_SIZES)

# The arguments of these classes are objects, or weigh one that is.
_OBJECTS_OF = (
    f"{pytorch_metric_learning.__name__}.losses.mixins",
    f"{pytorch_metric_learning.__name__}.utils",
)

_ABSTRACT = {losses.BaseMetricLossFunction, losses.GenericPairLoss, miners.BaseMiner}
_UNFIT = {
    "DynamicSoftMarginLoss": "stops at some batches with an index error of its own",
    "ManifoldLoss": "draws classes of its own instead of taking labels",
    "VICRegLoss": "compares a batch with a second one (reference embeddings) instead of taking "
    "labels",
    "EmbeddingsAlreadyPackagedAsTriplets": "takes batches that consist of triplets",
}


class _Argument(NamedTuple):
    """An argument of a constructor.

    Attributes:
        default: `inspect.Parameter.empty` where it has none.
        takes_object: Whether it is neither a number nor a word nor a switch.
    """

    name: str
    default: object
    takes_object: bool


class LibraryLoss(nn.Module):
    """A loss of pytorch-metric-learning, with or without one of its miners before it.

    All that changes while it trains is in its state dict, and all that it draws follows from
    torch's generator, so that a run goes on with it bit for bit.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None) -> None:
        """Take over a loss and its miner."""
        super().__init__()
        self.loss = loss
        self.miner = miner
        _keep_statistics(self)

    def forward(self, embeddings_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The loss of a batch as one scalar.

        Args:
            embeddings_ND: (N, D) embeddings, not normalised.
            labels_N: (N,) integer classes.
        """
        seed = int(torch.randint(2**31, ()))
        common_functions.NUMPY_RANDOM = np.random.RandomState(seed)
        for statistics in self.buffers():
            statistics.detach_()  # else one batch's graph would hang on the last one's
        mined = None if self.miner is None else self.miner(embeddings_ND, labels_N)
        loss: Tensor = self.loss(embeddings_ND, labels_N, mined)
        return loss


def _keep_statistics(module: nn.Module) -> None:
    """Make buffers of the tensors that a module computes with its embeddings."""
    for one in module.modules():
        for name, value in list(vars(one).items()):
            # What never changes is of another type: indices, or angles in float64.
            if isinstance(value, Tensor) and value.dtype == torch.float32:
                delattr(one, name)
                one.register_buffer(name, value)


@cache
def library_loss(name: str, miner: str | None) -> LossRecord[LossParameters, LibraryLoss]:
    """A loss of pytorch-metric-learning as a space names it.

    Args:
        name: ``pml:`` and the name of a loss there.
        miner: ``pml:`` and the name of a miner there.

    Raises:
        SpaceError: There is no such loss or miner, or histsearch can't train with it.
    """
    loss_class = _find(losses, name, "loss")
    miner_class = None if miner is None else _find(miners, miner, "miner")
    own = {one.name: one for one in _arguments(loss_class)}
    mining = {} if miner_class is None else {one.name: one for one in _arguments(miner_class)}
    sizes_told = [one for one in own if one in _TOLD]
    for one in sizes_told:
        del own[one]

    def build(parameters: LossParameters, num_classes: int, embedding_size: int) -> LibraryLoss:
        values = dict(parameters)
        told = {one: num_classes if one in _CLASS_COUNTS else embedding_size for one in sizes_told}
        loss = _built(loss_class, told | _given(own, values, ""))
        if miner_class is None:
            return LibraryLoss(loss, None)
        return LibraryLoss(loss, _built(miner_class, _given(mining, values, _MINER_PREFIX)))

    def groups(
        loss: LibraryLoss, parameters: LossParameters, network_lr: float
    ) -> Sequence[ParameterGroup]:
        weights = list(loss.parameters())
        factor = float(getattr(parameters, _LR_FACTOR, 1.0))
        return (ParameterGroup(weights, network_lr * factor),) if weights else ()

    fields = _fields(own, "") | _fields(mining, _MINER_PREFIX)
    if sizes_told:
        description = "a number >= 0 (times lr)"
        factor = Field(100.0, ge=0, allow_inf_nan=False, description=description)
        fields[_LR_FACTOR] = (float, factor)
    parameters = create_model(loss_class.__name__, __base__=LossParameters, **fields)
    parameters.objects = frozenset(
        f"{prefix}{one.name}"
        for prefix, several in (("", own), (_MINER_PREFIX, mining))
        for one in several.values()
        if one.takes_object
    )
    return LossRecord(
        name if miner is None else f"{name} with {miner}",
        parameters,
        build,
        groups,
        # A loss that knows the embeddings' size compares them with weights of its own.
        needs_positives=miner is not None or not {*sizes_told} & {*_EMBEDDING_SIZES},
    )


def _find(module: ModuleType, name: str, noun: str) -> type[nn.Module]:
    """The class of a loss or miner that histsearch can train with.

    Raises:
        SpaceError: There is none.
    """
    classes = {
        one.__name__: one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, nn.Module) and one not in _ABSTRACT
    }
    own_name = name.removeprefix(_PREFIX)
    found = f'found the {noun} "{name}", which'
    if own_name not in classes:
        near = " or ".join(f'"{_PREFIX}{one}"' for one in get_close_matches(own_name, classes))
        hint = f"did you mean {near}? " if near else ""
        allowed = ", ".join(one for one in classes if one not in _UNFIT)
        raise SpaceError(f"{found} pytorch-metric-learning hasn't; {hint}It has {allowed}")
    if own_name in _UNFIT:
        raise SpaceError(f"{found} {_UNFIT[own_name]}; name another")
    if not issubclass(classes[own_name], losses.BaseMetricLossFunction | miners.BaseMiner):
        raise SpaceError(f"{found} is made of other losses; name one of these")
    return classes[own_name]


def _arguments(built: type[nn.Module]) -> list[_Argument]:
    """The arguments that a class takes, those included that it passes on to its bases."""
    own, *bases = _constructors(built)
    found = {argument.name: argument for argument in own}
    required = [one.name for one in own if one.default is inspect.Parameter.empty]
    for argument in (one for base in bases for one in base):
        if argument.name in found:
            continue
        if argument.default is inspect.Parameter.empty:
            # Of the others the class itself gives the value.
            if argument.name in _TOLD:
                found[argument.name] = argument
                required.append(argument.name)
        elif argument.takes_object or _passes_on(built, argument, required):
            found[argument.name] = argument
    return list(found.values())


def _constructors(built: type[nn.Module]) -> Iterator[list[_Argument]]:
    """The arguments of each constructor that a class's keyword arguments reach."""
    for one in built.__mro__:
        if "__init__" not in vars(one):
            continue
        arguments = [*inspect.signature(vars(one)["__init__"]).parameters.values()][1:]
        yield [
            _Argument(argument.name, argument.default, _takes_object(one, argument.default))
            for argument in arguments
            if argument.kind in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY)
        ]
        if not any(argument.kind == argument.VAR_KEYWORD for argument in arguments):
            return


def _takes_object(owner: type, default: object) -> bool:
    usual = isinstance(default, int | float | str) or default in (None, inspect.Parameter.empty)
    return owner.__module__.startswith(_OBJECTS_OF) or not usual


def _passes_on(built: type[nn.Module], argument: _Argument, required: Sequence[str]) -> bool:
    """Whether a class leaves an argument of a base to its user, instead of giving it itself."""
    try:
        built(**dict.fromkeys(required, 1), **{argument.name: argument.default})
    except TypeError:
        return False
    return True


def _fields(arguments: Mapping[str, _Argument], prefix: str) -> dict[str, Any]:
    """Fields for the arguments that a space can give, by their names in a space."""
    return {
        f"{prefix}{one.name}": _field(one.default)
        for one in arguments.values()
        if not one.takes_object
    }


def _field(default: object) -> tuple[Any, Any]:
    """Type and field of an argument, by its default; None stands for a number."""
    if isinstance(default, bool):
        return bool, Field(default, description="true or false")
    if isinstance(default, str):
        word = Annotated[str, Field(min_length=1)]
        return word | Number, Field(default, description="a word or a number")
    if default is None:
        return NumberOrNone, Field(None, description="a number")
    required = default is inspect.Parameter.empty
    return Number, Field(... if required else default, description="a number")


def _given(
    arguments: Mapping[str, _Argument], values: Mapping[str, object], prefix: str
) -> dict[str, object]:
    named = {name: values[f"{prefix}{name}"] for name in arguments if f"{prefix}{name}" in values}
    return {name: value for name, value in named.items() if value is not None}


def _built(built: type[nn.Module], arguments: Mapping[str, object]) -> nn.Module:
    """An instance of a class of the library.

    Raises:
        SpaceError: The library refuses an argument.
    """
    try:
        return built(**arguments)
    except BUILD_ERRORS as error:
        raise SpaceError(
            f"pytorch-metric-learning can't build {built.__name__}: {reason_of(error)}"
        ) from error
