"""The whole networks, at the size of images they train on, beside the reference implementation."""

# N = batch, H, W = height and width in pixels, F = features, P, Q = height and width of the
# feature map, D = embedding size

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from histsearch.models.bn_inception import BNInception
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import build_network
from histsearch.models.resnet50 import ResNet50


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


def golden_state(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return {
        key: torch.from_numpy(golden_values(key, position, shapes[key]).astype(np.float32))
        for position, key in enumerate(sorted(shapes))
        if not key.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("backbone", ["bn_inception", "resnet50"])
def test_embeddings_of_a_loaded_checkpoint_match_the_reference(
    backbone: str, golden: Path, tmp_path: Path
) -> None:
    shapes = json.loads((golden / "backbone_state_dicts.json").read_text())[backbone]
    checkpoint = tmp_path / "checkpoint.pth"
    torch.save({"model_state_dict": golden_state(shapes)}, checkpoint)
    network = build_network(find_backbone(backbone), 64, weights=str(checkpoint)).eval()
    pixels = np.sin(0.013 * np.arange(2 * 3 * 224 * 224, dtype=np.float64))
    images_N3HW = torch.from_numpy(pixels.reshape(2, 3, 224, 224).astype(np.float32))
    with torch.inference_mode():
        embeddings_ND = network(images_N3HW).numpy()
    reference_ND = np.load(golden / f"{backbone}_embedding.npy")
    np.testing.assert_allclose(embeddings_ND, reference_ND, rtol=0, atol=1e-4)


# The reference's figures hardly depend on the image and on BN-Inception's first blocks, because
# their weights let little of it through; the next two tests use weights that do.


def test_resnet50_with_torchvisions_classifier_is_torchvisions_network() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None).eval()
    with torch.device("meta"):  # it takes over their tensors
        ours = ResNet50().eval()
    ours.load_state_dict(
        {key: t for key, t in theirs.state_dict().items() if not key.startswith("fc.")}, assign=True
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
