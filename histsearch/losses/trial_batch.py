"""One batch that a loss is tried with before anything is trained with it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from histsearch.exceptions import SpaceError
from histsearch.losses.loss_record import LossParameters, LossRecord, ParameterGroup

_CLASSES = 8
_IMAGES_PER_CLASS = 2
_EMBEDDING_SIZE = 16
_LR = 1e-3

BUILD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""The errors of a loss whose arguments don't suit it."""


def reason_of(error: BaseException) -> str:
    """What an error says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def try_loss(record: LossRecord[Any, Any], parameters: LossParameters) -> None:
    """Build a loss and train two batches with it; torch's generator on the CPU is left as it is.

    Raises:
        SpaceError: It can't be built or trained.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            fault = _fault(record, parameters)
        except BUILD_ERRORS as error:
            raise SpaceError(_refusal(record, reason_of(error))) from error
    if fault is not None:
        raise SpaceError(_refusal(record, fault))


def _refusal(record: LossRecord[Any, Any], reason: str) -> str:
    return f'the loss "{record.name}" can\'t be trained: {reason}'


def _fault(record: LossRecord[Any, Any], parameters: LossParameters) -> str | None:
    """What two batches show that the loss itself doesn't refuse."""
    labels_N = torch.arange(_CLASSES * _IMAGES_PER_CLASS) % _CLASSES
    loss = record.build(parameters, _CLASSES, _EMBEDDING_SIZE)
    for _ in range(2):
        embeddings_ND = torch.randn(len(labels_N), _EMBEDDING_SIZE, requires_grad=True)
        value = loss(embeddings_ND, labels_N)
        value.backward()
        gradients = [one.grad for one in (embeddings_ND, *loss.parameters())]
        for computed in (value, *gradients):
            if computed is not None and not torch.isfinite(computed).all():
                return "its value or a gradient of it is infinite or not a number"
    return _group_fault(loss, record.groups(loss, parameters, _LR))


def _group_fault(loss: nn.Module, groups: Sequence[ParameterGroup]) -> str | None:
    grouped = [id(weight) for group in groups for weight in group.weights]
    if len(set(grouped)) < len(grouped):
        return "its groups hold a weight twice"
    left_out = [
        name
        for name, weight in loss.named_parameters()
        if weight.requires_grad and id(weight) not in grouped
    ]
    return f"its groups leave out the weights {', '.join(left_out)}" if left_out else None
