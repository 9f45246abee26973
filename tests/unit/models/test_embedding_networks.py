# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the
# feature map, D = embedding size

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from histsearch.exceptions import SpaceError
from histsearch.models.bn_inception import BNInception
from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network, pool_features
from histsearch.models.resnet50 import ResNet50

GOLDEN = Path(__file__).parents[2] / "golden"
SHAPES: dict[str, dict[str, list[int]]] = json.loads(
    (GOLDEN / "backbone_state_dicts.json").read_text()
)
CLASSIFIER = ("model.fc.", "model.last_linear.")


def golden_values(key: str, position: int, shape: list[int]) -> npt.NDArray[np.float64]:
    count = math.prod(shape)
    index = np.arange(count, dtype=np.float64)
    if key.endswith("running_var"):
        values = 1 + 0.5 * np.abs(np.sin(index + position))
    elif key.endswith("running_mean"):
        values = 0.1 * np.sin(index + position)
    elif len(shape) == 1 and key.endswith("weight"):
        values = 1 + 0.1 * np.sin(index + position)
    elif len(shape) == 1:
        values = 0.05 * np.sin(index + position)
    else:
        values = np.sin(0.7 * index + position) * math.sqrt(2 * shape[0] / count)
    return values.reshape(shape)


def golden_state(backbone: str) -> dict[str, Tensor]:
    shapes = SHAPES[backbone]
    return {
        key: torch.from_numpy(golden_values(key, position, shapes[key]).astype(np.float32))
        for position, key in enumerate(sorted(shapes))
        if not key.endswith("num_batches_tracked")
    }


@pytest.fixture
def network() -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(find_backbone("conv4"), 16, weights="none")


def running_means(network: EmbeddingNetwork) -> list[Tensor]:
    return [
        buffer.clone() for name, buffer in network.named_buffers() if name.endswith("running_mean")
    ]


@pytest.mark.parametrize("backbone", sorted(SHAPES))
def test_embeddings_of_a_loaded_checkpoint_match_the_reference(
    backbone: str, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pth"
    torch.save({"model_state_dict": golden_state(backbone)}, checkpoint)
    network = build_network(find_backbone(backbone), 64, weights=str(checkpoint)).eval()
    pixels = np.sin(0.013 * np.arange(2 * 3 * 224 * 224, dtype=np.float64))
    images_N3HW = torch.from_numpy(pixels.reshape(2, 3, 224, 224).astype(np.float32))
    with torch.inference_mode():
        embeddings_ND = network(images_N3HW).numpy()
    reference_ND = np.load(GOLDEN / f"{backbone}_embedding.npy")
    np.testing.assert_allclose(embeddings_ND, reference_ND, rtol=0, atol=1e-4)


# The reference's figures hardly depend on the image and on BN-Inception's first blocks, because
# their weights let little of it through; the next two tests use weights that do.


def test_resnet50_with_torchvisions_classifier_is_torchvisions_network() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None).eval()
    ours = ResNet50().eval()
    ours.load_state_dict(
        {key: t for key, t in theirs.state_dict().items() if not key.startswith("fc.")}
    )
    images_N3HW = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        classes = theirs.fc(theirs.avgpool(ours(images_N3HW)).flatten(1))
        torch.testing.assert_close(classes, theirs(images_N3HW))


def test_bn_inception_pools_by_average_except_in_its_last_block() -> None:
    torch.manual_seed(0)
    network = BNInception().eval()
    inputs: dict[str, Tensor] = {}
    for name, module in network.named_children():
        module.register_forward_pre_hook(
            lambda _module, args, name=name: inputs.update({name: args[0].clone()})
        )
    with torch.inference_mode():
        network(torch.randn(1, 3, 64, 64))
    projected = [name.removesuffix("_pool_proj") for name in inputs if name.endswith("_pool_proj")]
    assert len(projected) == 8
    for block in projected:
        map_NFPQ = inputs[f"{block}_1x1"]
        average = F.avg_pool2d(map_NFPQ, 3, stride=1, padding=1)
        maximum = F.max_pool2d(map_NFPQ, 3, stride=1, padding=1)
        expected = maximum if block == "inception_5b" else average
        torch.testing.assert_close(inputs[f"{block}_pool_proj"], expected)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_embeddings_depend_on_the_order_of_the_colours(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(find_backbone(name), 16, weights="none").train()
    images_N3HW = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        difference_ND = network(images_N3HW) - network(images_N3HW.flip(1))
    assert difference_ND.abs().max() > 0.1


def test_bn_inception_normalises_batches_as_the_published_network_does() -> None:
    norms = [norm for norm in BNInception().modules() if isinstance(norm, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.9)}


@pytest.mark.parametrize("backbone", sorted(SHAPES))
def test_state_dict_has_the_keys_and_shapes_of_the_reference(backbone: str) -> None:
    network = build_network(find_backbone(backbone), 64, weights="none")
    shapes = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    reference = {
        key: shape for key, shape in SHAPES[backbone].items() if not key.startswith(CLASSIFIER)
    }
    assert shapes == reference


@pytest.mark.parametrize("batch", [1, 3])
def test_embeddings_are_layer_normalised(network: EmbeddingNetwork, batch: int) -> None:
    with torch.inference_mode():
        embeddings_ND = network.eval()(torch.randn(batch, 3, 32, 32))
    assert embeddings_ND.shape == (batch, 16)
    assert torch.allclose(embeddings_ND.mean(dim=1), torch.zeros(batch), atol=1e-5)
    assert torch.allclose(embeddings_ND.square().mean(dim=1), torch.ones(batch), atol=1e-2)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backbones_state_the_channels_of_the_feature_map(name: str) -> None:
    network = build_network(find_backbone(name), 2, weights="none").eval()
    map_NFPQ: list[Tensor] = []
    network.model.register_forward_hook(lambda _module, _images, output: map_NFPQ.append(output))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 64, 64))
    assert map_NFPQ[0].shape[1] == BACKBONES[name].features


def test_embedding_layer_starts_with_fan_out_weights_and_zero_bias() -> None:
    torch.manual_seed(0)
    weight, bias = build_network(find_backbone("conv4"), 64, weights="none").embedding_parameters()
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert not bias.any()


def test_pooling_trains_relu_features_as_max_and_average_pooling_do() -> None:
    torch.manual_seed(0)
    before_relu = torch.randn(4, 8, 3, 3) - 1.5
    assert (before_relu.amax(dim=(2, 3)) < 0).any(), "some maps must be zero after the ReLU"
    ours, theirs = (before_relu.clone().requires_grad_() for _ in range(2))
    pooled_NF = pool_features(F.relu(ours))
    map_NFPQ = F.relu(theirs)
    expected_NF = F.adaptive_avg_pool2d(map_NFPQ, 1) + F.adaptive_max_pool2d(map_NFPQ, 1)
    torch.testing.assert_close(pooled_NF, expected_NF.flatten(1))
    torch.testing.assert_close(
        torch.autograd.grad(pooled_NF.square().sum(), ours),
        torch.autograd.grad(expected_NF.square().sum(), theirs),
    )


@pytest.mark.parametrize("bn_freeze", [True, False])
def test_bn_freeze_holds_the_running_statistics(network: EmbeddingNetwork, bn_freeze: bool) -> None:
    network.bn_freeze = bn_freeze
    network.train()
    before = running_means(network)
    network(torch.randn(4, 3, 32, 32))
    after = running_means(network)
    assert network.training
    assert len(before) == 4
    held = [torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert held == [bn_freeze] * 4


def test_parameter_groups_share_out_every_parameter_once(network: EmbeddingNetwork) -> None:
    groups = [*network.backbone_parameters(), *network.embedding_parameters()]
    assert sorted(map(id, groups)) == sorted(map(id, network.parameters()))
    assert [tuple(p.shape) for p in network.embedding_parameters()] == [(16, 128), (16,)]


def test_a_still_backbone_leaves_gradients_to_the_embedding_layer(
    network: EmbeddingNetwork,
) -> None:
    network.set_backbone_trainable(False)
    network(torch.randn(4, 3, 32, 32))[:, 0].sum().backward()
    assert all(parameter.grad is None for parameter in network.backbone_parameters())
    assert all(parameter.grad is not None for parameter in network.embedding_parameters())
    network.set_backbone_trainable(True)
    network(torch.randn(4, 3, 32, 32))[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.backbone_parameters())


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = (
        (torch.manual_seed(3), build_network(find_backbone("conv4"), 8, weights="none"))[
            1
        ].state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_embedding_size_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="embedding_size is 1"):
        build_network(find_backbone("conv4"), 1, weights="none")


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"'vgg' isn't known; known are resnet50, bn_inc.*conv4"):
        find_backbone("vgg")


def test_the_known_backbones_import_no_torch() -> None:
    code = "import sys, histsearch.models.known_backbones; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_backbone_that_would_call_the_embedding_layer_is_refused() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 8, kernel_size=3))
    with pytest.raises(ValueError, match="a module with a forward of its own"):
        EmbeddingNetwork(backbone, features=8, embedding_size=4)
