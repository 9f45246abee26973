"""The HIST loss as a space names it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from histsearch.losses.loss_record import LossParameters, LossRecord, ParameterGroup

if TYPE_CHECKING:
    from histsearch.hist import HISTLoss

_WIDEST = 65_536


class HISTParameters(LossParameters):
    """Defaults are those of CARS196 on ResNet-50 (Yuan & Le-Phuoc 2023, Tables 2 and 9)."""

    lambda_s: float = Field(1.0, ge=0, allow_inf_nan=False, description="a number >= 0")
    alpha: float = Field(0.9, ge=0, allow_inf_nan=False, description="a number >= 0")
    tau: float = Field(32.0, gt=0, allow_inf_nan=False, description="a number > 0")
    distance: Literal["mahalanobis", "euclidean", "cosine", "manhattan"] = Field(
        "mahalanobis", description='"mahalanobis", "euclidean", "cosine" or "manhattan"'
    )
    hgnn_layers: int = Field(2, ge=1, le=100, description="a whole number from 1 to 100")
    hgnn_hidden: int = Field(
        512, ge=1, le=_WIDEST, description=f"a whole number from 1 to {_WIDEST}"
    )
    lr_distributions: float = Field(0.1, ge=0, allow_inf_nan=False, description="a number >= 0")
    lr_hgnn: float = Field(1e-3, ge=0, allow_inf_nan=False, description="a number >= 0")


def _build(parameters: HISTParameters, num_classes: int, embedding_size: int) -> "HISTLoss":
    from histsearch.hist import HISTLoss

    return HISTLoss(
        num_classes,
        embedding_size,
        tau=parameters.tau,
        alpha=parameters.alpha,
        lambda_s=parameters.lambda_s,
        distance=parameters.distance,
        layers=parameters.hgnn_layers,
        hidden=parameters.hgnn_hidden,
    )


def _groups(
    loss: "HISTLoss", parameters: HISTParameters, _network_lr: float
) -> Sequence[ParameterGroup]:
    return (
        ParameterGroup(loss.distribution_parameters(), parameters.lr_distributions),
        ParameterGroup(list(loss.hgnn.parameters()), parameters.lr_hgnn),
    )


HIST = LossRecord(
    "hist",
    HISTParameters,
    _build,
    _groups,
    sizes=("hgnn_hidden", "hgnn_layers"),
    never_waits=True,
)
