"""ONNX files, by the exporter and the runtime that users have."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from histsearch.exceptions import ExportError
from histsearch.models import export
from histsearch.models.export import export_network
from tests.unit.models.short_networks import shorten
from tests.unit.models.small_checkpoint import checkpoint_of, images, normalised

for package in export.ONNX_PACKAGES:
    pytest.importorskip(package, reason="ONNX needs the extra histsearch[export]")


def run_onnx(path: Path, images_N3HW: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (embeddings_ND,) = session.run(["embeddings"], {"images": images_N3HW.numpy()})
    return torch.from_numpy(embeddings_ND)


@pytest.mark.parametrize(
    ("backbone", "side"),
    [("resnet50", 64), ("bn_inception", 64), ("timm:test_resnet", 160), ("timm:test_vit", 160)],
)
def test_an_onnx_file_gives_normalised_embeddings_of_any_batch(
    backbone: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backbone.startswith("timm:"):
        pytest.importorskip("timm", reason="its models need the extra histsearch[timm]")
    shorten(monkeypatch)
    checkpoint = checkpoint_of(backbone, side)
    path, description = export_network(
        checkpoint, tmp_path / "m.onnx", "onnx", samples_N3HW=images(3, side)
    )
    assert sorted(tmp_path.iterdir()) == [path, description]
    for batch in (1, 4):
        images_N3HW = images(batch, side)
        embeddings_ND = run_onnx(path, images_N3HW)
        torch.testing.assert_close(embeddings_ND.norm(dim=1), torch.ones(batch))
        torch.testing.assert_close(
            embeddings_ND, normalised(checkpoint, images_N3HW), rtol=0, atol=1e-4
        )


def test_a_file_whose_embeddings_differ_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"differ from the network's by up to [\d.e-]+, more tha"):
        export_network(checkpoint_of("conv4", 32), tmp_path, "onnx", samples_N3HW=images(3))
    assert list(tmp_path.iterdir()) == []
