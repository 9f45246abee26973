import errno
import hashlib
import json
import os
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from histsearch.exceptions import ExportError
from histsearch.models import export
from histsearch.models.checkpoint import Checkpoint
from histsearch.models.export import export_network
from tests.unit.models.small_checkpoint import METADATA, checkpoint_of, images, normalised


@pytest.fixture
def conv4() -> Checkpoint:
    return checkpoint_of("conv4", crop=32)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
def test_a_torchscript_file_gives_normalised_embeddings_without_a_warning(
    conv4: Checkpoint, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path, _ = export_network(conv4, tmp_path / "model.pt", "torchscript")
    loaded = torch.jit.load(path)  # type: ignore[no-untyped-call]
    for batch in (1, 4):
        torch.testing.assert_close(loaded(images(batch)), normalised(conv4, images(batch)))


def test_a_safetensors_file_is_the_networks_state_dict(conv4: Checkpoint, tmp_path: Path) -> None:
    path, description = export_network(conv4, tmp_path / "model.safetensors", "safetensors")
    state = conv4.network.state_dict()
    loaded = safetensors.torch.load_file(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert json.loads(description.read_text())["normalised"] is False


def test_what_the_loss_learned_lies_beside(conv4: Checkpoint, tmp_path: Path) -> None:
    trained = replace(conv4, loss_state={"proxies": torch.randn(3, 8)})
    *_, beside = export_network(trained, tmp_path / "birds.safetensors", "safetensors")
    assert beside == tmp_path / "birds.loss.safetensors"
    assert torch.equal(
        safetensors.torch.load_file(beside)["proxies"], trained.loss_state["proxies"]
    )
    (tmp_path / "birds.safetensors").unlink()
    (tmp_path / "birds.safetensors.json").unlink()
    with pytest.raises(ExportError, match=r"birds\.loss\.safetensors' already"):
        export_network(trained, tmp_path / "birds.safetensors", "safetensors")


def test_the_json_file_tells_how_to_use_the_model(conv4: Checkpoint, tmp_path: Path) -> None:
    path, description = export_network(conv4, tmp_path / "model.pt", "torchscript")
    assert description == path.with_name("model.pt.json")
    expected = {
        "format": "torchscript",
        "backbone": "conv4",
        "embedding_size": 8,
        "normalised": True,
        "preprocessing": asdict(conv4.preprocessing),
        "metadata": METADATA,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert json.loads(description.read_text()) == json.loads(json.dumps(expected))


def test_a_folder_gets_a_file_called_model(conv4: Checkpoint, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "deep" / "er"):
        written = export_network(conv4, folder, "safetensors")
        assert written == (folder / "model.safetensors", folder / "model.safetensors.json")
        assert all(path.is_file() for path in written)


@pytest.mark.parametrize(
    ("name", "file_format", "message"),
    [
        ("model.onnx", "torchscript", r"found '.*model\.onnx', allowed: a folder .* in \.pt$"),
        ("model.json", "safetensors", r"ending in \.safetensors$"),
        ("model.tflite", "tflite", "'tflite' isn't known; known are safetensors, onnx, torchscr"),
    ],
)
def test_another_suffix_or_format_is_refused(
    conv4: Checkpoint, tmp_path: Path, name: str, file_format: str, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export_network(conv4, tmp_path / name, file_format)


def test_a_file_whose_embeddings_differ_is_not_written(
    conv4: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"differ from the network's by up to [\d.e-]+, more tha"):
        export_network(conv4, tmp_path, "torchscript", samples_N3HW=images(3))
    assert names(tmp_path) == []


def test_embeddings_that_are_no_numbers_are_not_taken_for_equal(
    conv4: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="by up to nan"):
        export_network(
            conv4, tmp_path, "torchscript", samples_N3HW=torch.full((2, 3, 32, 32), torch.nan)
        )


def test_missing_onnx_packages_are_named_with_the_extra(
    conv4: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r"needs .*onnxruntime.* 'histsearch\[export\]'"):
        export_network(conv4, tmp_path, "onnx")


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 2500, "x" * 250 + ".pt"])
def test_a_path_that_is_too_long_is_refused(conv4: Checkpoint, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ExportError, match=r"found '.*', which can't be reached \(File name too long\), .* shorter"
    ) as refused:
        export_network(conv4, tmp_path / name, "torchscript")
    assert len(str(refused.value)) < 400
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_refused(conv4: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="can't be written"):
        export_network(conv4, tmp_path / "file" / "model.pt", "torchscript")


def test_a_model_whose_json_file_cannot_be_written_leaves_nothing(
    conv4: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(content)

    monkeypatch.setattr(export, "write_whole", write)
    with pytest.raises(ExportError, match="can't be written"):
        export_network(conv4, tmp_path, "safetensors")
    assert names(tmp_path) == []
