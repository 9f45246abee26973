"""ResNet-50 up to its last feature map."""

# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the map

import torchvision
from torch import Tensor, nn


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


def fetch_weights() -> dict[str, Tensor]:
    """Fetch torchvision's weights IMAGENET1K_V1 through torch's hub cache.

    Raises:
        OSError: They aren't in the cache and can't be downloaded.
    """
    state: dict[str, Tensor] = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.get_state_dict(
        progress=False, check_hash=True, weights_only=True
    )
    return state
