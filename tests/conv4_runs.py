"""Settings of short runs of conv4, for tests of training."""

from collections.abc import Mapping

from histsearch.losses.known_losses import find_loss
from histsearch.losses.loss_record import LossParameters
from histsearch.models.known_backbones import find_backbone
from histsearch.retrieval.known_metrics import USUAL_OBJECTIVE, Metric
from histsearch.space.configuration import Value
from histsearch.space.known_parameters import known_parameters
from histsearch.space.space import Determinism, Precision
from histsearch.training.trainer import RunSettings


def conv4_run(
    epochs: int,
    values: Mapping[str, Value],
    *,
    seed: int = 0,
    loss: str = "hist",
    miner: str | None = None,
    objective: Metric = USUAL_OBJECTIVE,
    precision: Precision = "fp32",
    determinism: Determinism = "exact",
) -> RunSettings:
    """A run from random weights; values over the defaults of its loss."""
    record = find_loss(loss, miner)
    own: type[LossParameters] = record.parameters
    configuration = known_parameters(own).complete(values)
    return RunSettings(
        find_backbone("conv4"),
        "none",
        record,
        objective,
        epochs,
        configuration,
        seed,
        precision=precision,
        determinism=determinism,
    )
