# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the
# feature map, D = embedding size

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histsearch.exceptions import SpaceError
from histsearch.models.bn_inception import BNInception
from histsearch.models.known_backbones import BACKBONES, find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network, pool_features
from tests.unit.models.short_networks import shorten

GOLDEN = Path(__file__).parents[2] / "golden"
SHAPES: dict[str, dict[str, list[int]]] = json.loads(
    (GOLDEN / "backbone_state_dicts.json").read_text()
)
CLASSIFIER = ("model.fc.", "model.last_linear.")


@pytest.fixture
def network() -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(find_backbone("conv4"), 16, weights="none")


def running_means(network: EmbeddingNetwork) -> list[Tensor]:
    return [
        buffer.clone() for name, buffer in network.named_buffers() if name.endswith("running_mean")
    ]


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_embeddings_depend_on_the_order_of_the_colours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
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
    with torch.device("meta"):
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
    with torch.device("meta"):
        map_NFPQ = find_backbone(name).build()(torch.zeros(1, 3, 64, 64))
    assert map_NFPQ.shape[1] == BACKBONES[name].features


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


@pytest.mark.parametrize(
    ("name", "sides", "too_few"),
    [
        ("resnet50", (1, 32, 33), ()),
        ("bn_inception", (32, 64), (16, 48)),
        ("conv4", (16, 17), (15,)),
    ],
)
def test_a_backbone_trains_with_the_sizes_that_it_says_it_takes(
    name: str, sides: tuple[int, ...], too_few: tuple[int, ...]
) -> None:
    backbone = find_backbone(name)
    network = build_network(backbone, 4, weights="none").train()
    assert [side for side in (*sides, *too_few) if backbone.image_sizes.hold(side)] == list(sides)
    for side in sides:
        network(torch.rand(2, 3, side, side)).sum().backward()
    for side in too_few:
        with pytest.raises(RuntimeError):
            network(torch.rand(2, 3, side, side))


def test_a_backbone_that_would_call_the_embedding_layer_is_refused() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 8, kernel_size=3))
    with pytest.raises(ValueError, match="a module with a forward of its own"):
        EmbeddingNetwork(backbone, features=8, embedding_size=4)
