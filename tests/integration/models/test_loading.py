# N = batch, H, W = height and width in pixels, D = embedding size

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histsearch.exceptions import WeightsError
from histsearch.models import export
from histsearch.models.checkpoint import Checkpoint, save_checkpoint
from histsearch.models.export import export_network
from histsearch.models.known_backbones import find_backbone
from histsearch.models.loading import load_model
from histsearch.models.network import build_network

METADATA = {"dataset": "folder:birds", "seed": 3}
EXPORTED = {"safetensors": "m.safetensors", "onnx": "m.onnx", "torchscript": "m.pt"}


@pytest.fixture(scope="module")
def conv4() -> Checkpoint:
    torch.manual_seed(0)
    network = build_network(find_backbone("conv4"), 8, weights="none").eval()
    return Checkpoint(network, "conv4", 8, find_backbone("conv4").preprocessing, METADATA)


@pytest.fixture(scope="module")
def exports(conv4: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in each format, with its JSON file beside it."""
    for package in export.ONNX_PACKAGES:
        pytest.importorskip(package, reason="ONNX needs the extra histsearch[export]")
    folder = tmp_path_factory.mktemp("exports")
    for file_format, name in EXPORTED.items():
        export_network(conv4, folder / name, file_format)
    return {file_format: folder / name for file_format, name in EXPORTED.items()}


@pytest.fixture
def copied(exports: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies an export, for the test to spoil."""

    def copy(file_format: str) -> Path:
        path = exports[file_format]
        for name in (path.name, f"{path.name}.json"):
            (tmp_path / name).write_bytes(path.with_name(name).read_bytes())
        return tmp_path / path.name

    return copy


def change_description(path: Path, **changes: Any) -> None:
    """Change fields of the JSON file beside a model; None leaves a field out."""
    beside = path.with_name(f"{path.name}.json")
    description = json.loads(beside.read_text()) | changes
    beside.write_text(
        json.dumps({k: value for k, value in description.items() if value is not None})
    )


def change_preprocessing(path: Path, **changes: Any) -> None:
    beside = path.with_name(f"{path.name}.json")
    change_description(
        path, preprocessing=json.loads(beside.read_text())["preprocessing"] | changes
    )


def embed(network: nn.Module, images_N3HW: Tensor) -> Tensor:
    with torch.no_grad():
        return F.normalize(network(images_N3HW), dim=1)


@pytest.mark.parametrize("file_format", EXPORTED)
def test_an_exported_file_gives_the_models_embeddings(
    file_format: str, exports: dict[str, Path], conv4: Checkpoint
) -> None:
    model = load_model(exports[file_format])
    images_N3HW = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        embed(model.network, images_N3HW), embed(conv4.network, images_N3HW), rtol=0, atol=1e-5
    )
    assert (model.backbone, model.embedding_size) == ("conv4", 8)
    assert (model.preprocessing, model.metadata) == (conv4.preprocessing, METADATA)
    assert model.has_digest
    assert not model.network.training


@pytest.mark.parametrize(
    ("file_format", "sentence"),
    [
        ("safetensors", "m.safetensors' doesn't tell its backbone.* with its JSON file beside it"),
        ("onnx", "m.onnx' needs the file '.*m.onnx.json', .* doesn't exist; .* keep them together"),
        ("torchscript", "m.pt' needs the file '.*m.pt.json', .* doesn't exist"),
    ],
)
def test_an_exported_file_without_its_json_file_is_refused(
    file_format: str, sentence: str, copied: Callable[[str], Path]
) -> None:
    path = copied(file_format)
    path.with_name(f"{path.name}.json").unlink()
    with pytest.raises(WeightsError, match=sentence):
        load_model(path)


@pytest.mark.parametrize("file_format", EXPORTED)
def test_one_flipped_bit_of_an_exported_file_is_noticed(
    file_format: str, copied: Callable[[str], Path]
) -> None:
    path = copied(file_format)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{path.name}' is damaged, or isn't the file that"):
        load_model(path)


@pytest.mark.parametrize("file_format", EXPORTED)
def test_an_export_of_an_older_version_has_no_digest_and_is_read(
    file_format: str, copied: Callable[[str], Path]
) -> None:
    path = copied(file_format)
    change_description(path, sha256=None)
    assert not load_model(path).has_digest


@pytest.mark.parametrize(
    ("file_format", "changes", "sentence"),
    [
        ("onnx", {"format": "torchscript"}, "describes a file of format torchscript, and"),
        ("safetensors", {"format": "onnx"}, "describes a file of format onnx, and"),
        ("safetensors", {"backbone": "resnet50"}, "don't fit resnet50"),
        ("safetensors", {"embedding_size": 16}, r"is 8×128, not 16×128"),
        ("onnx", {"embedding_size": 16}, r"embedding has shape \(1, 8\), not \(1, 16\)"),
        ("torchscript", {"embedding_size": 16}, r"embedding has shape \(1, 8\), not \(1, 16\)"),
        ("onnx", {"embedding_size": 10**9}, "embedding_size = 1000000000: "),
        ("onnx", {"metadata": 3}, "metadata = 3: "),
        ("torchscript", {"preprocessing": {"crop": 32}}, "preprocessing.resize"),
    ],
)
def test_a_json_file_that_does_not_fit_the_model_is_refused(
    copied: Callable[[str], Path], file_format: str, changes: dict[str, Any], sentence: str
) -> None:
    path = copied(file_format)
    change_description(path, **changes)
    with pytest.raises(WeightsError, match=sentence):
        load_model(path)


@pytest.mark.parametrize("file_format", EXPORTED)
@pytest.mark.parametrize("field", ["resize", "crop"])
def test_a_crafted_size_of_images_is_refused(
    copied: Callable[[str], Path], file_format: str, field: str
) -> None:
    path = copied(file_format)
    change_preprocessing(path, **{field: 10**9})
    with pytest.raises(WeightsError, match=rf"\.json' .* preprocessing\.{field} = 1000000000: "):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b" " * 2**21, b"[1]"])
def test_a_json_file_that_describes_nothing_is_refused(
    copied: Callable[[str], Path], content: bytes
) -> None:
    path = copied("onnx")
    path.with_name("m.onnx.json").write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"m\.onnx\.json'.* (doesn't say what the model is|longer)"
    ):
        load_model(path)


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
def test_images_that_the_network_cannot_take_are_refused(
    copied: Callable[[str], Path], file_format: str
) -> None:
    path = copied(file_format)
    change_preprocessing(path, crop=3)
    with pytest.raises(
        WeightsError, match=r"m\.(onnx|pt)' can't be used: it can't take images of 3×3"
    ):
        load_model(path)


def test_a_checkpoint_whose_images_its_network_cannot_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "7.pt"
    network = build_network(find_backbone("conv4"), 8, weights="none")
    backbone = find_backbone("conv4")
    save_checkpoint(
        path,
        network,
        backbone=backbone,
        preprocessing=backbone.preprocessing,
        embedding_size=8,
        extra={},
    )
    content = torch.load(path, weights_only=True)
    content["histsearch"]["preprocessing"]["crop"] = 3
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"7\.pt' can't be used: it can't take images of 3×3"):
        load_model(path)


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
def test_a_file_of_another_kind_under_an_exports_name_is_refused(
    copied: Callable[[str], Path], file_format: str
) -> None:
    path = copied(file_format)
    path.write_bytes(b"hello world\n")
    change_description(path, sha256=None)
    with pytest.raises(WeightsError, match=rf"{path.name}' can't be (used|read): it's damaged"):
        load_model(path)


def test_an_onnx_file_of_somebody_else_is_refused(copied: Callable[[str], Path]) -> None:
    path = copied("onnx")
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    identity = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([identity], "identity", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    change_description(path, sha256=None)
    with pytest.raises(
        WeightsError, match=r"takes \['x'\] and gives \['y'\], not images and embedd"
    ):
        load_model(path)


def test_onnxruntime_that_is_missing_is_named_with_the_extra(
    exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match=r"m\.onnx' needs onnxruntime, .*'histsearch\[export\]'"):
        load_model(exports["onnx"])
