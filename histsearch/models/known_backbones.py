"""The backbones a study can choose from, known without importing torch."""

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from histsearch.exceptions import SpaceError
from histsearch.extensions import ExtensionPoint, Provider, installed_version
from histsearch.models.backbone import Backbone, Download, ImageSizes, PublishedFile
from histsearch.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

# Any model of the timm package is a backbone under its name there, with its pretrained tag or
# without: timm:resnet18, timm:resnet18.a1_in1k.
_TIMM_NAME = re.compile(r"timm:[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)?")


def _build_resnet50() -> "nn.Module":
    from histsearch.models.resnet50 import ResNet50

    return ResNet50()


def _fetch_resnet50() -> "dict[str, Tensor]":
    from histsearch.models.resnet50 import fetch_weights

    return fetch_weights()


def _build_bn_inception() -> "nn.Module":
    from histsearch.models.bn_inception import BNInception

    return BNInception()


def _build_conv4() -> "nn.Module":
    from histsearch.models.conv4 import Conv4

    return Conv4()


def _at_least(pixels: int) -> ImageSizes:
    return ImageSizes(lambda side: side >= pixels, f"{pixels} or more")


def _multiples_of(pixels: int) -> ImageSizes:
    return ImageSizes(lambda side: side % pixels == 0, f"a multiple of {pixels}")


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="resnet50",
            build=_build_resnet50,
            features=2048,
            preprocessing=Preprocessing(
                resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
            ),
            # Its convolutions pad what they halve.
            image_sizes=_at_least(1),
            pretrained=Download(_fetch_resnet50),
            classifiers=("fc",),
            published_key="model.layer4.0.conv1.weight",
        ),
        Backbone(
            name="bn_inception",
            build=_build_bn_inception,
            features=1024,
            preprocessing=Preprocessing(
                resize=256,
                crop=224,
                mean=(104.0, 117.0, 128.0),
                std=(1.0, 1.0, 1.0),
                channel_order="bgr",
                value_range=255.0,
            ),
            # Where a block halves an odd map, its branches don't fit.
            image_sizes=_multiples_of(32),
            pretrained=PublishedFile("bn_inception-52deb4733.pth"),
            classifiers=("last_linear",),
            published_key="model.conv1_7x7_s2.weight",
        ),
        Backbone(
            name="conv4",
            build=_build_conv4,
            features=128,
            preprocessing=Preprocessing(
                resize=36,
                crop=32,
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                # A small drawing loses what tells it from others in a smaller crop.
                min_crop_area=0.5,
            ),
            # It halves a map four times.
            image_sizes=_at_least(16),
            pretrained=None,
        ),
    )
}
"""Every backbone of histsearch's own, by name."""

_EXTENSIONS = ExtensionPoint("histsearch.backbones", "backbone", Backbone, BACKBONES)


def check_backbone_name(name: str) -> None:
    """Check that a backbone may have that name; of a timm model's the form alone is checked.

    Raises:
        SpaceError: None can, or the package that adds it can't be used.
    """
    if _TIMM_NAME.fullmatch(name) or name in BACKBONES or _EXTENSIONS.load(name) is not None:
        return
    known = ", ".join((*BACKBONES, *_EXTENSIONS.names()))
    raise SpaceError(
        f"backbone '{name}' isn't known; known are {known}, "
        "and timm:NAME for a model of timm such as timm:resnet18"
    )


def starts_pretrained(name: str) -> bool:
    """Whether training is meant to start from pretrained weights; timm isn't asked for its own.

    Raises:
        SpaceError: No backbone can have that name, or the package that adds it can't be used.
    """
    return _TIMM_NAME.fullmatch(name) is not None or find_backbone(name).pretrained is not None


def find_backbone(name: str) -> Backbone:
    """Return the backbone called `name`; for a timm model, torch and timm are imported.

    Raises:
        SpaceError: No backbone has that name, or timm is needed and missing, or its model gives no
            feature map, or the package that adds it can't be used.
    """
    check_backbone_name(name)
    if name in BACKBONES:
        return BACKBONES[name]
    if not _TIMM_NAME.fullmatch(name):
        added = _EXTENSIONS.load(name)
        assert added is not None
        return added
    from histsearch.models.timm_backbones import timm_backbone

    return timm_backbone(name)


def backbone_provider(name: str) -> Provider | None:
    """The package that a backbone comes from; None for histsearch's own, and where it is missing.

    Raises:
        SpaceError: The package that adds it can't be used.
    """
    if name in BACKBONES:
        return None
    if not _TIMM_NAME.fullmatch(name):
        return _EXTENSIONS.provider(name)
    version = installed_version("timm")
    if version is None:
        return None
    return Provider(f'the backbone "{name}"', "timm", version, "'histsearch[timm]'")


def look_up_backbone(name: str) -> Backbone | None:
    """Return the backbone called `name`; None where it is timm's and timm isn't installed.

    Raises:
        SpaceError: No backbone has that name, or timm's model gives no feature map.
    """
    check_backbone_name(name)
    if _TIMM_NAME.fullmatch(name) and find_spec("timm") is None:
        return None
    return find_backbone(name)
