"""A trained network to export, and the embeddings that its file must give."""

# N = batch, H, W = height and width in pixels, D = embedding size

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from histsearch.models.checkpoint import Checkpoint
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import build_network

METADATA = {"dataset": "omniglot", "hyperparameters": {"tau": 16.0}}


def checkpoint_of(backbone: str, crop: int) -> Checkpoint:
    torch.manual_seed(0)
    network = build_network(find_backbone(backbone), 8, weights="none").eval()
    preprocessing = replace(find_backbone(backbone).preprocessing, crop=crop)
    return Checkpoint(network, backbone, 8, preprocessing, METADATA)


def images(batch: int, side: int = 32) -> Tensor:
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(batch))


def normalised(checkpoint: Checkpoint, images_N3HW: Tensor) -> Tensor:
    """The network's embeddings (N, D), each of length 1."""
    with torch.inference_mode():
        return F.normalize(checkpoint.network(images_N3HW), dim=1)
