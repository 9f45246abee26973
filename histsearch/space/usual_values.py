"""What parameters are where a space doesn't search them."""

from histsearch.models.known_backbones import look_up_backbone
from histsearch.space.configuration import Value
from histsearch.space.space import Space


def usual_values(space: Space) -> dict[str, Value]:
    """The fixed values of a space, else defaults; those of a backbone only where it is known.

    Raises:
        SpaceError: The timm of this machine has no such model.
    """
    backbone = look_up_backbone(space.backbone)
    own = {} if backbone is None else backbone.preprocessing.hyperparameters
    return {**own, **space.parameters.defaults, **space.fixed}
