"""Proxy-Anchor as a space names it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from histsearch.losses.loss_record import LossParameters, LossRecord, ParameterGroup

if TYPE_CHECKING:
    from histsearch.losses.proxy_anchor_loss import ProxyAnchorLoss


class ProxyAnchorParameters(LossParameters):
    """Defaults are those of the authors (Kim et al., CVPR 2020, "Implementation details")."""

    alpha: float = Field(32.0, gt=0, allow_inf_nan=False, description="a number > 0")
    delta: float = Field(0.1, ge=0, le=2, description="a number from 0 to 2")
    proxy_lr_factor: float = Field(
        100.0, ge=0, allow_inf_nan=False, description="a number >= 0 (times lr)"
    )


def _build(
    parameters: ProxyAnchorParameters, num_classes: int, embedding_size: int
) -> "ProxyAnchorLoss":
    from histsearch.losses.proxy_anchor_loss import ProxyAnchorLoss

    return ProxyAnchorLoss(
        num_classes, embedding_size, alpha=parameters.alpha, delta=parameters.delta
    )


def _groups(
    loss: "ProxyAnchorLoss", parameters: ProxyAnchorParameters, network_lr: float
) -> Sequence[ParameterGroup]:
    return (ParameterGroup([loss.proxies], network_lr * parameters.proxy_lr_factor),)


PROXY_ANCHOR = LossRecord("proxy-anchor", ProxyAnchorParameters, _build, _groups, never_waits=True)
