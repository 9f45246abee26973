"""One batch that a loss is tried with before anything is trained with it."""

from typing import Any

import torch

from histsearch.exceptions import SpaceError
from histsearch.losses.loss_record import LossParameters, LossRecord

_CLASSES = 8
_IMAGES_PER_CLASS = 2
_EMBEDDING_SIZE = 16

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
        labels_N = torch.arange(_CLASSES * _IMAGES_PER_CLASS) % _CLASSES
        try:
            loss = record.build(parameters, _CLASSES, _EMBEDDING_SIZE)
            for _ in range(2):
                embeddings_ND = torch.randn(len(labels_N), _EMBEDDING_SIZE, requires_grad=True)
                loss(embeddings_ND, labels_N).backward()
        except BUILD_ERRORS as error:
            raise SpaceError(
                f'the loss "{record.name}" can\'t be trained: {reason_of(error)}'
            ) from error
