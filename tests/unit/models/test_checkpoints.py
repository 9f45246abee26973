import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histsearch.exceptions import SpaceError, WeightsError
from histsearch.models.backbones import preprocessing_of
from histsearch.models.checkpoint import load_checkpoint, save_checkpoint
from histsearch.models.network import EmbeddingNetwork, build_network

EXTRA = {"study": "cub", "trial": 7, "hyperparameters": {"tau": 16.0, "bn_freeze": True}}


@pytest.fixture
def conv4() -> EmbeddingNetwork:
    torch.manual_seed(0)
    network = build_network("conv4", 4, weights="none")
    network(torch.randn(8, 3, 32, 32))
    return network


def save_conv4(path: Path, network: EmbeddingNetwork, **extra: Any) -> None:
    save_checkpoint(path, network, backbone="conv4", embedding_size=4, extra=extra)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def published(backbone: str, embedding_size: int) -> dict[str, Tensor]:
    """Return tensors under the keys that the reference implementation saves."""
    state = build_network(backbone, embedding_size, weights="none").state_dict()
    # One stored element a tensor keeps the file small.
    numbered = {
        key: torch.tensor(float(number)).expand(tensor.shape)
        for number, (key, tensor) in enumerate(state.items(), start=1)
    }
    classifier = "model.fc.weight" if backbone == "resnet50" else "model.last_linear.weight"
    return numbered | {classifier: torch.zeros(1000, 1)}


def test_a_saved_network_comes_back_with_its_description(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4, **EXTRA)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.backbone, checkpoint.embedding_size) == ("conv4", 4)
    assert checkpoint.preprocessing == preprocessing_of("conv4")
    assert checkpoint.metadata == EXTRA
    assert not checkpoint.network.training
    images_N3HW = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            checkpoint.network(images_N3HW), conv4.eval()(images_N3HW), rtol=0, atol=0
        )


def test_torch_reads_a_checkpoint_without_running_code(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, **EXTRA)
    content = torch.load(tmp_path / "7.pt", weights_only=True)
    assert content["model_state_dict"].keys() == conv4.state_dict().keys()
    assert content["histsearch"]["preprocessing"]["crop"] == 32
    assert content["histsearch"]["trial"] == 7


def test_a_checkpoint_can_start_another_training(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    save_conv4(tmp_path / "7.pt", conv4)
    started = build_network("conv4", 4, weights=str(tmp_path / "7.pt")).state_dict()
    assert all(torch.equal(started[key], tensor) for key, tensor in conv4.state_dict().items())


def test_a_checkpoint_replaces_the_one_of_its_name_and_leaves_nothing_else(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, trial=1)
    save_conv4(tmp_path / "7.pt", conv4, trial=2)
    assert load_checkpoint(tmp_path / "7.pt").metadata == {"trial": 2}
    assert names(tmp_path) == ["7.pt"]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files can't grow beyond 4 kB."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX's")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(
    conv4: EmbeddingNetwork, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save_conv4(tmp_path / "7.pt", conv4, trial=1)
    request.getfixturevalue("full_disk")
    with pytest.raises(WeightsError, match=r"7\.pt' can't be written: .* has room"):
        save_conv4(tmp_path / "7.pt", conv4, trial=2)
    assert load_checkpoint(tmp_path / "7.pt").metadata == {"trial": 1}
    assert names(tmp_path) == ["7.pt"]


def test_metadata_that_could_not_be_read_back_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"extra can't be saved: .*Path"):
        save_conv4(tmp_path / "7.pt", conv4, folder=Path())
    assert names(tmp_path) == []


@pytest.mark.parametrize(("backbone", "size"), [("resnet50", 6), ("bn_inception", 5)])
def test_a_published_checkpoint_tells_its_backbone_by_its_keys(
    backbone: str, size: int, tmp_path: Path
) -> None:
    state = published(backbone, size)
    torch.save({"model_state_dict": state}, tmp_path / "published.pth")
    checkpoint = load_checkpoint(tmp_path / "published.pth")
    assert (checkpoint.backbone, checkpoint.embedding_size) == (backbone, size)
    assert checkpoint.preprocessing == preprocessing_of(backbone)
    assert checkpoint.metadata == {}
    loaded = checkpoint.network.state_dict()
    floats = [key for key in loaded if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(loaded[key], state[key]) for key in floats)


def test_a_backbone_can_be_named_where_the_file_does_not_tell_it(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    torch.save(conv4.state_dict(), tmp_path / "state.pth")
    with pytest.raises(WeightsError, match=r"doesn't tell its backbone.*resnet50 or bn_inception"):
        load_checkpoint(tmp_path / "state.pth")
    assert load_checkpoint(tmp_path / "state.pth", "conv4").embedding_size == 4


def test_another_backbone_than_the_one_asked_for_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    save_conv4(tmp_path / "7.pt", conv4)
    with pytest.raises(WeightsError, match="has the backbone conv4, not resnet50"):
        load_checkpoint(tmp_path / "7.pt", "resnet50")


def test_a_file_of_a_backbone_alone_is_refused(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    state = {k: t for k, t in conv4.state_dict().items() if not k.startswith("model.embedding.")}
    torch.save({"model_state_dict": state}, tmp_path / "backbone.pth")
    with pytest.raises(WeightsError, match="has no embedding layer"):
        load_checkpoint(tmp_path / "backbone.pth")


def test_a_published_checkpoint_of_another_depth_is_refused(tmp_path: Path) -> None:
    state = published("resnet50", 4) | {"model.layer3.6.conv1.weight": torch.zeros(1)}
    torch.save({"model_state_dict": state}, tmp_path / "deeper.pth")
    with pytest.raises(WeightsError, match=r"deeper\.pth' don't fit resnet50: 1 unexpected keys"):
        load_checkpoint(tmp_path / "deeper.pth")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing\.pt' can't be read: .*No such file"):
        load_checkpoint(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text(json.dumps(EXTRA))
    with pytest.raises(WeightsError, match=r"text\.pt' can't be read"):
        load_checkpoint(tmp_path / "text.pt")


@pytest.mark.parametrize(
    "change", [{"embedding_size": "large"}, {"preprocessing": {"crop": 32}}, {"backbone": None}]
)
def test_a_damaged_description_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4)
    content = torch.load(path, weights_only=True)
    content["histsearch"] |= change
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"description in checkpoint '.*7\.pt' can't be read"):
        load_checkpoint(path)


def test_an_unknown_backbone_in_a_checkpoint_is_refused(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "7.pt"
    save_conv4(path, conv4)
    content = torch.load(path, weights_only=True)
    content["histsearch"]["backbone"] = "vgg"
    torch.save(content, path)
    with pytest.raises(SpaceError, match="'vgg' isn't known"):
        load_checkpoint(path)
