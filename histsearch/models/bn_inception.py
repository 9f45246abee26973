"""BN-Inception up to its last feature map, as in the Caffe model."""

# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the map

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class InceptionBlock:
    """Channels of one block's branches.

    A block without a 1×1 branch halves the map: the last convolution of its other branches and
    its pooling have stride 2, and the pooled input passes through without a projection.

    Attributes:
        name: Prefix of the names of its layers.
        inputs: Channels of its input.
        single: Channels of the 1×1 branch, 0 for none.
        triple: Channels of the 3×3 branch: reduction, output.
        double: Channels of the double 3×3 branch: reduction, output of both convolutions.
        pooling: Kind of the pooling branch.
        projection: Channels the pooled input is projected to, 0 for a pass-through.
    """

    name: str
    inputs: int
    single: int
    triple: tuple[int, int]
    double: tuple[int, int]
    pooling: Literal["avg", "max"]
    projection: int

    @property
    def stride(self) -> int:
        """Factor by which the block shrinks the map."""
        return 1 if self.single else 2


# Share of a new batch in the running statistics. The published HIST networks have this value and
# were tuned with it where batch normalisation wasn't frozen, although PyTorch's default is 0.1.
BATCH_NORM_MOMENTUM = 0.9

# Ioffe & Szegedy, "Batch Normalization", ICML 2015, Figure 5.
BLOCKS = (
    InceptionBlock("inception_3a", 192, 64, (64, 64), (64, 96), "avg", 32),
    InceptionBlock("inception_3b", 256, 64, (64, 96), (64, 96), "avg", 64),
    InceptionBlock("inception_3c", 320, 0, (128, 160), (64, 96), "max", 0),
    InceptionBlock("inception_4a", 576, 224, (64, 96), (96, 128), "avg", 128),
    InceptionBlock("inception_4b", 576, 192, (96, 128), (96, 128), "avg", 128),
    InceptionBlock("inception_4c", 576, 160, (128, 160), (128, 160), "avg", 128),
    InceptionBlock("inception_4d", 608, 96, (128, 192), (160, 192), "avg", 128),
    InceptionBlock("inception_4e", 608, 0, (128, 192), (192, 256), "max", 0),
    InceptionBlock("inception_5a", 1056, 352, (192, 320), (160, 224), "avg", 128),
    InceptionBlock("inception_5b", 1024, 352, (192, 320), (192, 224), "max", 128),
)


class BNInception(nn.Module):
    """BN-Inception (Ioffe & Szegedy, ICML 2015) without its pooling and classifier.

    Layers are registered flat under the names of the Caffe model, which the keys of its weights
    files follow. Convolutions keep the biases that model has, and its pooling rounds map sizes
    up.
    """

    def __init__(self) -> None:
        super().__init__()
        self._add_layer("conv1_7x7_s2", 3, 64, kernel=7, stride=2)
        self._add_layer("conv2_3x3_reduce", 64, 64)
        self._add_layer("conv2_3x3", 64, 192, kernel=3)
        for block in BLOCKS:
            self._add_block(block)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the feature map (N, 1024, H/32, W/32) of images (N, 3, H, W).

        H and W are multiples of 32: the branches of a block that halves an odd map don't fit.
        """
        map_NFPQ = _halve(self._layer("conv1_7x7_s2", images_N3HW))
        map_NFPQ = self._layer("conv2_3x3", self._layer("conv2_3x3_reduce", map_NFPQ))
        map_NFPQ = _halve(map_NFPQ)
        for block in BLOCKS:
            map_NFPQ = self._block(block, map_NFPQ)
        return map_NFPQ

    def _add_block(self, block: InceptionBlock) -> None:
        name, inputs = block.name, block.inputs
        if block.single:
            self._add_layer(f"{name}_1x1", inputs, block.single)
        reduced, outputs = block.triple
        self._add_layer(f"{name}_3x3_reduce", inputs, reduced)
        self._add_layer(f"{name}_3x3", reduced, outputs, kernel=3, stride=block.stride)
        reduced, outputs = block.double
        self._add_layer(f"{name}_double_3x3_reduce", inputs, reduced)
        self._add_layer(f"{name}_double_3x3_1", reduced, outputs, kernel=3)
        self._add_layer(f"{name}_double_3x3_2", outputs, outputs, kernel=3, stride=block.stride)
        if block.projection:
            self._add_layer(f"{name}_pool_proj", inputs, block.projection)

    def _block(self, block: InceptionBlock, map_NFPQ: Tensor) -> Tensor:
        name = block.name
        branches = []
        if block.single:
            branches.append(self._layer(f"{name}_1x1", map_NFPQ))
        triple = self._layer(f"{name}_3x3_reduce", map_NFPQ)
        branches.append(self._layer(f"{name}_3x3", triple))
        double = self._layer(f"{name}_double_3x3_reduce", map_NFPQ)
        double = self._layer(f"{name}_double_3x3_1", double)
        branches.append(self._layer(f"{name}_double_3x3_2", double))
        pooled = _pool(block, map_NFPQ)
        branches.append(self._layer(f"{name}_pool_proj", pooled) if block.projection else pooled)
        return torch.cat(branches, dim=1)

    def _add_layer(
        self, name: str, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.add_module(name, conv)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs, momentum=BATCH_NORM_MOMENTUM))

    def _layer(self, name: str, map_NFPQ: Tensor) -> Tensor:
        convolve, normalise = self.get_submodule(name), self.get_submodule(f"{name}_bn")
        return F.relu(normalise(convolve(map_NFPQ)), inplace=True)


def _halve(map_NFPQ: Tensor) -> Tensor:
    return F.max_pool2d(map_NFPQ, kernel_size=3, stride=2, ceil_mode=True)


def _pool(block: InceptionBlock, map_NFPQ: Tensor) -> Tensor:
    if block.stride == 2:
        return _halve(map_NFPQ)
    pool = F.avg_pool2d if block.pooling == "avg" else F.max_pool2d
    return pool(map_NFPQ, kernel_size=3, stride=1, padding=1, ceil_mode=True)
