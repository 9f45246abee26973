"""The losses that a space can name.

Their records are found without importing torch, but those of pytorch-metric-learning and of other
packages.
"""

import re
from typing import Any

from histsearch.exceptions import SpaceError
from histsearch.extensions import ExtensionPoint, Provider, installed_version
from histsearch.losses.hist_record import HIST
from histsearch.losses.loss_record import LossRecord
from histsearch.losses.proxy_anchor_record import PROXY_ANCHOR

LOSSES: dict[str, LossRecord[Any, Any]] = {one.name: one for one in (HIST, PROXY_ANCHOR)}
"""Every loss of histsearch's own, by name."""

USUAL_LOSS = HIST.name

# Any loss and any miner of pytorch-metric-learning, by the name of its class.
_LIBRARY_NAME = re.compile(r"pml:[A-Za-z_][A-Za-z0-9_]*")
_LIBRARY = "pytorch-metric-learning"

_EXTENSIONS: ExtensionPoint[LossRecord[Any, Any]] = ExtensionPoint(
    "histsearch.losses", "loss", LossRecord, LOSSES
)


def is_library_name(name: str) -> bool:
    """Whether a loss or miner of that name would be pytorch-metric-learning's."""
    return _LIBRARY_NAME.fullmatch(name) is not None


def check_loss_name(name: str) -> None:
    """Check that a loss may have that name; one of pytorch-metric-learning isn't looked up.

    Raises:
        SpaceError: None can, or the package that adds it can't be used.
    """
    if name in LOSSES or is_library_name(name) or _EXTENSIONS.load(name) is not None:
        return
    known = ", ".join(f'"{one}"' for one in (*LOSSES, *_EXTENSIONS.names()))
    raise SpaceError(
        f'found the loss "{name}", allowed: {known}, or "pml:NAME" for one of {_LIBRARY} such as '
        '"pml:MultiSimilarityLoss"'
    )


def find_loss(name: str, miner: str | None = None) -> LossRecord[Any, Any]:
    """The loss called ``name``.

    Args:
        name: A loss's name.
        miner: A miner of pytorch-metric-learning that chooses its pairs or triplets.

    Raises:
        SpaceError: There is none of that name, it can't be trained here, or the package that it
            comes from is missing.
    """
    check_loss_name(name)
    if name in LOSSES:
        return LOSSES[name]
    if is_library_name(name):
        if installed_version(_LIBRARY) is None:
            raise _library(name, None).missing()
        try:
            from histsearch.losses.library_losses import library_loss
        except ModuleNotFoundError as error:
            raise _library(name, None).missing() from error
        return library_loss(name, miner)
    added = _EXTENSIONS.load(name)
    assert added is not None
    return added


def loss_provider(name: str) -> Provider | None:
    """The package that a loss comes from; None for histsearch's own, and where it is missing.

    Raises:
        SpaceError: The package that adds it can't be used.
    """
    if name in LOSSES:
        return None
    if not is_library_name(name):
        return _EXTENSIONS.provider(name)
    version = installed_version(_LIBRARY)
    return None if version is None else _library(name, version)


def _library(name: str, version: str | None) -> Provider:
    return Provider(f'the loss "{name}"', _LIBRARY, version, "'histsearch[pml]'")
