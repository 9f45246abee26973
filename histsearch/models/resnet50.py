"""ResNet-50 up to its last feature map."""

# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the map

import torchvision
from torch import Tensor, nn

from histsearch.models.architecture import Architecture
from histsearch.models.preprocessing import Preprocessing


class ResNet50(nn.Module):
    """Torchvision's ResNet-50 (He et al., CVPR 2016) without its pooling and classifier."""

    def __init__(self) -> None:
        super().__init__()
        source = torchvision.models.resnet50(weights=None)
        self.conv1 = source.conv1
        self.bn1 = source.bn1
        self.relu = source.relu
        self.maxpool = source.maxpool
        self.layer1 = source.layer1
        self.layer2 = source.layer2
        self.layer3 = source.layer3
        self.layer4 = source.layer4

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the feature map (N, 2048, ⌈H/32⌉, ⌈W/32⌉) of images (N, 3, H, W)."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images_N3HW))))
        map_NFPQ: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(stem))))
        return map_NFPQ


ARCHITECTURE = Architecture(
    build=ResNet50,
    features=2048,
    preprocessing=Preprocessing(
        resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    ),
    classifiers=("fc",),
)
