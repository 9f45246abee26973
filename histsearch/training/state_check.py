"""Whether what was read as a run's state has the form of one, before anything is loaded."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class UnfitStateError(ValueError):
    """A state is none of the run that it was read for."""


def check_form(state: object, expected: object, name: str) -> None:
    """Make sure that a state is built as another one is: keys, types, and shapes of tensors.

    Args:
        state: What was read.
        expected: A state of the run.
        name: What it is, for messages.

    Raises:
        UnfitStateError: It isn't.
    """
    if isinstance(expected, Tensor):
        _check_tensor(state, expected, name)
    elif isinstance(expected, Mapping):
        _check_mapping(state, expected, name)
    elif isinstance(expected, list | tuple):
        _check_sequence(state, expected, name)
    elif isinstance(state, bool) != isinstance(expected, bool) or not isinstance(
        state, int | float if isinstance(expected, float) else type(expected)
    ):
        raise UnfitStateError(f"{name} is {_describe(state)}, expected {_describe(expected)}")


def check_optimizer(state: object, optimizer: Optimizer, name: str) -> None:
    """Make sure that a state is one of an optimizer, which keeps tensors for each parameter.

    Raises:
        UnfitStateError: It isn't.
    """
    expected = optimizer.state_dict()
    if not isinstance(state, Mapping) or state.keys() != expected.keys():
        raise UnfitStateError(f"{name} is {_describe(state)}, expected {_describe(expected)}")
    check_form(state["param_groups"], expected["param_groups"], f"{name}.param_groups")
    if [group["params"] for group in state["param_groups"]] != [
        group["params"] for group in expected["param_groups"]
    ]:
        raise UnfitStateError(f"{name} numbers its parameters otherwise")
    shapes = [weights.shape for group in optimizer.param_groups for weights in group["params"]]
    if not isinstance(state["state"], Mapping):
        raise UnfitStateError(f"{name}.state is {_describe(state['state'])}, expected a mapping")
    for number, kept in state["state"].items():
        known = isinstance(number, int) and 0 <= number < len(shapes)
        if not known or not isinstance(kept, Mapping) or kept.keys() != _KEPT_BY_ADAM:
            raise UnfitStateError(f"{name}.state has {_describe(kept)} for {number!r}")
        if not all(isinstance(value, Tensor) for value in kept.values()):
            raise UnfitStateError(f"{name}.state holds no tensors for parameter {number}")
        if {kept["exp_avg"].shape, kept["exp_avg_sq"].shape} != {shapes[number]}:
            raise UnfitStateError(f"{name}.state has other shapes for parameter {number}")


_KEPT_BY_ADAM = {"step", "exp_avg", "exp_avg_sq"}


def _check_tensor(state: object, expected: Tensor, name: str) -> None:
    if not isinstance(state, Tensor) or (state.shape, state.dtype) != (
        expected.shape,
        expected.dtype,
    ):
        raise UnfitStateError(f"{name} is {_describe(state)}, expected {_describe(expected)}")


def _check_mapping(state: object, expected: Mapping[Any, Any], name: str) -> None:
    if not isinstance(state, Mapping):
        raise UnfitStateError(f"{name} is {_describe(state)}, expected {_describe(expected)}")
    if state.keys() != expected.keys():
        other = next(iter(state.keys() ^ expected.keys()))
        what = "lacks" if other in expected else "has too much"
        raise UnfitStateError(f"{name} {what}: {other}")
    for key, value in expected.items():
        check_form(state[key], value, f"{name}.{key}")


def _check_sequence(state: object, expected: Sequence[Any], name: str) -> None:
    if not isinstance(state, list | tuple) or len(state) != len(expected):
        raise UnfitStateError(f"{name} is {_describe(state)}, expected {_describe(expected)}")
    for place, (one, other) in enumerate(zip(state, expected, strict=True)):
        check_form(one, other, f"{name}[{place}]")


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
