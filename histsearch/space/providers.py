"""The packages besides histsearch that runs of a space need."""

from histsearch.data.known_datasets import dataset_provider
from histsearch.extensions import Provider
from histsearch.losses.known_losses import loss_provider
from histsearch.models.known_backbones import backbone_provider
from histsearch.space.space import Space


def providers(space: Space) -> tuple[Provider, ...]:
    """Where its loss, data set and backbone come from, as far as that is installed here.

    Raises:
        SpaceError: A package that adds one of them can't be used.
    """
    found = (
        loss_provider(space.loss.name),
        dataset_provider(space.dataset),
        backbone_provider(space.backbone),
    )
    return tuple(one for one in found if one is not None)
