"""The losses that a space can name."""

from typing import Any

from histsearch.exceptions import SpaceError
from histsearch.losses.hist_record import HIST
from histsearch.losses.loss_record import LossRecord
from histsearch.losses.proxy_anchor_record import PROXY_ANCHOR

LOSSES: dict[str, LossRecord[Any, Any]] = {one.name: one for one in (HIST, PROXY_ANCHOR)}
"""Every loss, by name."""

USUAL_LOSS = HIST.name


def find_loss(name: str) -> LossRecord[Any, Any]:
    """The loss called ``name``.

    Raises:
        SpaceError: There is none.
    """
    if name not in LOSSES:
        known = " or ".join(f'"{one}"' for one in LOSSES)
        raise SpaceError(f'found the loss "{name}", allowed: {known}')
    return LOSSES[name]
