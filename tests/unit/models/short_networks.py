"""The known backbones, narrow and with each kind of block once: time goes by the layer."""

from typing import Any

import pytest
import torchvision
from torchvision.models.resnet import Bottleneck, ResNet

from histsearch.models import bn_inception
from histsearch.models.bn_inception import InceptionBlock

BN_INCEPTION = (
    InceptionBlock("average", 192, 64, (64, 64), (64, 96), "avg", 32),
    InceptionBlock("halving", 256, 0, (64, 160), (64, 96), "max", 0),
    InceptionBlock("maximum", 512, 352, (64, 320), (64, 224), "max", 128),
)


def _short_resnet50(*, weights: Any) -> ResNet:
    assert weights is None
    return ResNet(Bottleneck, [2, 1, 1, 1], num_classes=1, width_per_group=4)


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Build short networks of ``resnet50`` and ``bn_inception`` while the patch holds."""
    patch.setattr(bn_inception, "BLOCKS", BN_INCEPTION)
    patch.setattr(torchvision.models, "resnet50", _short_resnet50)
