import pickle
import unicodedata
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from histsearch.exceptions import WeightsError
from histsearch.models.backbone import Download, PublishedFile
from histsearch.models.initial_weights import check_weights, locate_weights
from histsearch.models.known_backbones import find_backbone
from histsearch.models.network import EmbeddingNetwork, build_network

pytestmark = pytest.mark.usefixtures("short_networks")

TORCHVISION_FILE = "resnet50-0676ba61.pth"


class Marker:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def numbered(network: EmbeddingNetwork) -> dict[str, Tensor]:
    """Return the state dict with each tensor full of its own number.

    The tensors share one stored element each, which keeps files of large networks small.
    """
    return {
        key: torch.tensor(float(number)).expand(tensor.shape)
        for number, (key, tensor) in enumerate(network.state_dict().items(), start=1)
    }


def backbone_only(network: EmbeddingNetwork, classifier: str) -> dict[str, Tensor]:
    state = {
        key.removeprefix("model."): tensor
        for key, tensor in numbered(network).items()
        if not key.startswith("model.embedding.") and not key.endswith("num_batches_tracked")
    }
    return state | {
        f"{classifier}.weight": torch.zeros(1000, 1),
        f"{classifier}.bias": torch.ones(1000),
    }


def assert_holds_numbers(network: EmbeddingNetwork, *, embedding: bool) -> None:
    state = network.state_dict()
    for key, number in numbered(network).items():
        tensor = state[key]
        if key.endswith("num_batches_tracked"):
            continue
        if key.startswith("model.embedding.") and not embedding:
            assert not torch.equal(tensor, number), key
        else:
            assert torch.equal(tensor, number), key


@pytest.fixture(scope="module")
def resnet50(short_networks: None) -> EmbeddingNetwork:  # noqa: ARG001 - builds a short one
    return build_network(find_backbone("resnet50"), 4, weights="none")


@pytest.fixture(scope="module")
def bn_inception(short_networks: None) -> EmbeddingNetwork:  # noqa: ARG001 - builds a short one
    return build_network(find_backbone("bn_inception"), 4, weights="none")


@pytest.fixture
def conv4() -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(find_backbone("conv4"), 4, weights="none")


def test_a_torchvision_file_fills_the_backbone_only(
    resnet50: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(backbone_only(resnet50, "fc"), path)
    assert_holds_numbers(
        build_network(find_backbone("resnet50"), 4, weights=str(path)), embedding=False
    )


def test_a_caffe_conversion_loses_the_leading_dimension_of_its_vectors(
    bn_inception: EmbeddingNetwork, tmp_path: Path
) -> None:
    state = {
        key: tensor[None] if "_bn." in key else tensor
        for key, tensor in backbone_only(bn_inception, "last_linear").items()
    }
    assert state["conv1_7x7_s2_bn.running_var"].shape == (1, 64)
    path = tmp_path / "bn_inception-52deb4733.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_holds_numbers(
        build_network(find_backbone("bn_inception"), 4, weights=str(path)), embedding=False
    )


def test_a_safetensors_file_is_read(bn_inception: EmbeddingNetwork, tmp_path: Path) -> None:
    state = backbone_only(bn_inception, "last_linear")
    path = tmp_path / "bn_inception.safetensors"
    safetensors.torch.save_file({key: t.contiguous() for key, t in state.items()}, path)
    assert_holds_numbers(
        build_network(find_backbone("bn_inception"), 4, weights=str(path)), embedding=False
    )


def test_a_hist_checkpoint_fills_the_embedding_layer_too(
    resnet50: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pth"
    state = numbered(resnet50) | {"model.fc.weight": torch.zeros(1000, 1)}
    torch.save({"model_state_dict": state}, path)
    assert_holds_numbers(
        build_network(find_backbone("resnet50"), 4, weights=str(path)), embedding=True
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_saved_network_comes_back_whole(
    conv4: EmbeddingNetwork, tmp_path: Path, suffix: str
) -> None:
    conv4.train()(torch.randn(8, 3, 32, 32))
    path = tmp_path / f"network{suffix}"
    if suffix == ".pth":
        torch.save(conv4.state_dict(), path)
    else:
        safetensors.torch.save_file(conv4.state_dict(), path)
    loaded = build_network(find_backbone("conv4"), 4, weights=str(path)).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in conv4.state_dict().items())


def test_missing_and_unexpected_keys_are_named_with_the_file(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    state = conv4.state_dict()
    state["model.blocks.9.weight"] = state.pop("model.blocks.0.0.weight")
    path = tmp_path / "odd.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError) as error:
        build_network(find_backbone("conv4"), 4, weights=str(path))
    assert str(path) in str(error.value)
    assert "1 missing keys (model.blocks.0.0.weight)" in str(error.value)
    assert "1 unexpected keys (model.blocks.9.weight)" in str(error.value)


def test_weights_of_another_backbone_are_refused_with_the_first_keys(
    conv4: EmbeddingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "conv4.pth"
    torch.save(conv4.state_dict(), path)
    with pytest.raises(
        WeightsError, match=r"don't fit resnet50.*\(model\.conv1\.weight, model\.bn1\.weight, .*…\)"
    ):
        build_network(find_backbone("resnet50"), 4, weights=str(path))


def test_another_embedding_size_is_refused(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "conv4.pth"
    torch.save(conv4.state_dict(), path)
    with pytest.raises(WeightsError, match=r"model\.embedding\.weight is 4×128, not 8×128"):
        build_network(find_backbone("conv4"), 8, weights=str(path))


def test_half_an_embedding_layer_is_refused(conv4: EmbeddingNetwork, tmp_path: Path) -> None:
    state = conv4.state_dict()
    del state["model.embedding.bias"]
    path = tmp_path / "half.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"1 missing keys \(model\.embedding\.bias\)"):
        build_network(find_backbone("conv4"), 4, weights=str(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world\n", b"PK\x03\x04", b"\x80\x02}"])
def test_a_damaged_file_is_refused_by_name(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"damaged\{suffix}' can't be read"):
        build_network(find_backbone("conv4"), 4, weights=str(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(conv4: EmbeddingNetwork, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "short.pth"
    torch.save(conv4.state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"short\.pth' can't be read"):
        build_network(find_backbone("conv4"), 4, weights=str(path))


def test_a_file_of_other_objects_is_refused_and_runs_no_code(tmp_path: Path) -> None:
    path, left_behind = tmp_path / "code.pth", tmp_path / "left_behind"
    path.write_bytes(pickle.dumps({"weight": Marker(left_behind)}, protocol=2))
    with pytest.raises(WeightsError, match="holds more than tensors"):
        build_network(find_backbone("conv4"), 4, weights=str(path))
    assert not left_behind.exists()


@pytest.mark.parametrize("content", [{}, [1], {"epoch": 3}, {"model_state_dict": 1}])
def test_a_file_without_named_tensors_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"other\.pth' holds no state dict"):
        build_network(find_backbone("conv4"), 4, weights=str(path))


def test_pretrained_resnet50_comes_from_the_hub_cache(
    resnet50: EmbeddingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / TORCHVISION_FILE
    cached.parent.mkdir(parents=True)
    torch.save(backbone_only(resnet50, "fc"), cached)
    assert_holds_numbers(
        build_network(find_backbone("resnet50"), 4, weights="pretrained"), embedding=False
    )


def test_a_failed_download_says_what_to_give_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # urllib reads the proxy once; a fresh opener reads it again.
    monkeypatch.setattr(urllib.request, "_opener", None)
    with pytest.raises(WeightsError, match=r"can't be fetched .* path of a file, or 'none'"):
        build_network(find_backbone("resnet50"), 4, weights="pretrained")


def test_bn_inception_names_the_file_to_give_instead_of_a_download() -> None:
    with pytest.raises(WeightsError, match=r"bn_inception-52deb4733\.pth"):
        build_network(find_backbone("bn_inception"), 4, weights="pretrained")


def test_conv4_has_no_pretrained_weights() -> None:
    with pytest.raises(WeightsError, match="conv4 has no pretrained weights"):
        build_network(find_backbone("conv4"), 4, weights="pretrained")


@pytest.mark.parametrize("pretrained", [None, PublishedFile("new.pth")])
def test_a_new_backbone_fetches_no_other_ones_weights(
    pretrained: PublishedFile | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    new = replace(find_backbone("resnet50"), name="new", pretrained=pretrained)
    with pytest.raises(WeightsError, match="new has no pretrained weights to download"):
        build_network(new, 4, weights="pretrained")
    assert list(tmp_path.iterdir()) == []


def test_a_new_backbone_fetches_its_weights_as_its_record_says(conv4: EmbeddingNetwork) -> None:
    state = {
        key.removeprefix("model."): torch.full_like(tensor, 7)
        for key, tensor in conv4.state_dict().items()
        if not key.startswith("model.embedding.")
    }
    new = replace(find_backbone("conv4"), name="new", pretrained=Download(lambda: state))
    loaded = build_network(new, 4, weights="pretrained").state_dict()
    assert all(torch.equal(loaded[f"model.{key}"], tensor) for key, tensor in state.items())


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [("conv4", "none"), ("resnet50", "none"), ("resnet50", "pretrained"), ("conv4", __file__)],
)
def test_check_passes_weights_that_can_be_looked_for(backbone: str, weights: str) -> None:
    check_weights(find_backbone(backbone), weights)


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("bn_inception", "pretrained", r"give the path of its file bn_inception-52deb4733\.pth"),
        ("conv4", "pretrained", "use 'none'"),
        ("resnet50", "missing/weights.pth", r"'missing/weights\.pth' doesn't exist"),
        ("resnet50", str(Path(__file__).parent), "doesn't exist"),
    ],
)
def test_check_refuses_weights_that_do_not_exist(backbone: str, weights: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        check_weights(find_backbone(backbone), weights)


@pytest.mark.parametrize(
    "weights", ["é" * 200, "weights/" * 1_000, "a\0b", "~nobody-here/weights.pth"]
)
def test_weights_that_can_not_be_looked_for_are_refused(weights: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't be reached"):
        check_weights(find_backbone("conv4"), locate_weights(weights, tmp_path))


def test_weights_are_found_by_a_name_in_other_code_points(tmp_path: Path) -> None:
    on_disk = tmp_path / unicodedata.normalize("NFD", "Vögel") / "é.pth"
    on_disk.parent.mkdir()
    on_disk.touch()
    located = locate_weights(unicodedata.normalize("NFC", "Vögel/é.pth"), tmp_path)
    assert Path(located).samefile(on_disk)
    assert locate_weights(str(on_disk), tmp_path / "elsewhere") == str(on_disk)
