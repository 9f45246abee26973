"""Architectures of the catalog's backbones."""

from histsearch.models import bn_inception, conv4, resnet50
from histsearch.models.architecture import Architecture
from histsearch.models.catalog import TIMM_PREFIX, find_backbone
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.timm_backbones import timm_architecture

ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": resnet50.ARCHITECTURE,
    "bn_inception": bn_inception.ARCHITECTURE,
    "conv4": conv4.ARCHITECTURE,
}


def find_architecture(backbone: str) -> Architecture:
    """Return the architecture of the backbone of that name.

    Raises:
        SpaceError: No backbone has that name, or timm is needed and missing, or its model gives no
            feature map.
    """
    name = find_backbone(backbone).name
    return timm_architecture(name) if name.startswith(TIMM_PREFIX) else ARCHITECTURES[name]


def preprocessing_of(backbone: str) -> Preprocessing:
    """Return what the backbone of that name expects of its input images.

    Raises:
        SpaceError: As `find_architecture`.
    """
    return find_architecture(backbone).preprocessing
