"""The network that HIST trains: a backbone and an embedding layer."""

# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the
# feature map, D = embedding size

from pathlib import Path
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from histsearch.models.backbone import Backbone
from histsearch.models.initial_weights import PRETRAINED_WEIGHTS, RANDOM_WEIGHTS
from histsearch.models.weights import fetch_weights, load_weights, read_weights


class EmbeddingNetwork(nn.Module):
    """Backbone, global pooling, linear embedding layer and layer normalisation.

    The embedding network of HIST (Lim et al. CVPR 2022; Yuan & Le-Phuoc, ReScience C 9.2 (#8)
    2023). The keys of its state dict are those of the published HIST checkpoints.

    Attributes:
        bn_freeze: Whether `train()` leaves the backbone's batch normalisation in eval mode. A
            new value takes effect at the next call of `train()`.
    """

    def __init__(self, backbone: nn.Module, features: int, embedding_size: int) -> None:
        """Join a backbone and a new embedding layer.

        Args:
            backbone: Maps images (N, 3, H, W) to a feature map (N, features, P, Q); no
                `nn.Sequential`, as the embedding layer becomes a submodule of it.
            features: Channels of the feature map.
            embedding_size: D, at least 2.

        Raises:
            ValueError: The embedding size is below 2, or the backbone is an `nn.Sequential`.
        """
        super().__init__()
        if isinstance(backbone, nn.Sequential):
            raise ValueError(
                "the backbone is an nn.Sequential, which would call the embedding layer as its "
                "last; make it a module with a forward of its own"
            )
        if embedding_size < 2:
            raise ValueError(
                f"embedding_size is {embedding_size}; layer normalisation needs at least 2"
            )
        self.bn_freeze = False
        embedding = nn.Linear(features, embedding_size)
        nn.init.kaiming_normal_(embedding.weight, mode="fan_out")
        nn.init.zeros_(embedding.bias)
        # Published checkpoints keep the embedding layer inside the backbone; so do our keys.
        backbone.add_module("embedding", embedding)
        self.model = backbone

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the raw embeddings (N, D) of images (N, 3, H, W); they aren't L2-normalised."""
        pooled_NF = pool_features(self.model(images_N3HW))
        embeddings_ND: Tensor = self._embedding(pooled_NF)
        return F.layer_norm(embeddings_ND, embeddings_ND.shape[1:])

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for the batch normalisation that `bn_freeze` holds back."""
        super().train(mode)
        if self.bn_freeze:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.eval()
        return self

    def embedding_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the embedding layer."""
        return list(self._embedding.parameters())

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return every parameter but the embedding layer's."""
        return [
            parameter
            for name, parameter in self.model.named_parameters()
            if not name.startswith("embedding.")
        ]

    def set_backbone_trainable(self, trainable: bool) -> None:
        """Let the backbone learn, or hold its parameters still as in the warm-up epoch."""
        for parameter in self.backbone_parameters():
            parameter.requires_grad_(trainable)

    @property
    def _embedding(self) -> nn.Module:
        return self.model.get_submodule("embedding")


def pool_features(map_NFPQ: Tensor) -> Tensor:
    """Return global average plus global maximum (N, F) of a feature map (N, F, P, Q).

    The published HIST networks pool maps that come out of a ReLU. `amax` shares a tie's gradient
    among the tied positions where max pooling gives it to one of them, but positive features
    hardly ever tie and the gradient of tied zeros stops at the ReLU. So it trains as max pooling
    does, and unlike adaptive max pooling its backward pass is deterministic on CUDA.

    Many of timm's models end in a layer normalisation or another activation. Their features have
    both signs and hardly ever tie, so that the gradients are those of max pooling too; but HIST
    was never published with this pooling on such maps.
    """
    return map_NFPQ.mean(dim=(2, 3)) + map_NFPQ.amax(dim=(2, 3))


def build_network(backbone: Backbone, embedding_size: int, *, weights: str) -> EmbeddingNetwork:
    """Build an embedding network and load its weights.

    Random values are drawn from torch's global generator.

    Args:
        backbone: The network's backbone.
        embedding_size: D, at least 2.
        weights: "none" for a random start; "pretrained" for the backbone's published weights,
            downloaded to the cache of torch's hub or of timm's; or the path of a file as
            `load_weights` describes.

    Raises:
        WeightsError: The weights can't be found, fetched or read, or don't fit the network.
        ValueError: The embedding size is below 2.
    """
    network = EmbeddingNetwork(backbone.build(), backbone.features, embedding_size)
    if weights == RANDOM_WEIGHTS:
        return network
    if weights == PRETRAINED_WEIGHTS:
        state = fetch_weights(backbone)
    else:
        state = read_weights(Path(weights))
    load_weights(network, state, backbone, source=f"weights '{weights}'")
    return network
