"""Trained networks as files for retrieval, to be used without histsearch."""

# N = batch, H, W = height and width in pixels, D = embedding size

import hashlib
import importlib.util
import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histsearch.exceptions import ExportError
from histsearch.file_writing import write_whole
from histsearch.models.checkpoint import Checkpoint
from histsearch.models.description import description_path
from histsearch.models.network import EmbeddingNetwork
from histsearch.sharing import make_folder
from histsearch.wording import shortened

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INPUT_NAME = "images"
OUTPUT_NAME = "embeddings"

# Largest difference allowed between an element of the network's L2-normalised embeddings and of
# the exported file's.
TOLERANCE = 1e-4


class RetrievalNetwork(nn.Module):
    """An embedding network whose embeddings have length 1, as cosine ranking wants them."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the L2-normalised embeddings (N, D) of preprocessed images (N, 3, H, W)."""
        return F.normalize(self.network(images_N3HW), dim=1)


def export_network(
    checkpoint: Checkpoint,
    path: Path,
    file_format: str,
    *,
    samples_N3HW: Tensor | None = None,
) -> tuple[Path, ...]:
    """Write a trained network, and beside it a JSON file that says how to use it.

    The formats:

    - "safetensors": the state dict. Embeddings of the network it is loaded into aren't normalised.
    - "onnx": a graph from preprocessed images (N, 3, crop, crop), "images", to L2-normalised
      embeddings (N, D), "embeddings", for any N. The file stays below ONNX's limit of 2 GiB.
    - "torchscript": the same as a traced module for `torch.jit.load`. PyTorch has deprecated
      TorchScript; it still reads and writes it, but ONNX will be read for longer.

    The JSON file names format, backbone, embedding size D, whether embeddings are normalised, the
    preprocessing, the checkpoint's metadata and the SHA-256 of the model's file. An ONNX or
    TorchScript file is run on sample images and written if its embeddings are the network's.

    What the loss learned, such as class means or proxies, lies beside in NAME.loss.safetensors,
    where the checkpoint has it.

    Args:
        checkpoint: The trained network, on the CPU.
        path: A file name with the format's suffix (.safetensors, .onnx or .pt), or a folder, in
            which the file is called "model". Folders are made where they are missing.
        file_format: One of the three names above.
        samples_N3HW: Preprocessed images to check the file on; one blank image if left out.

    Returns:
        The paths of the model's file, of the JSON file, and of the loss's weights if there are any.

    Raises:
        ExportError: The format or the file's suffix isn't known, a file of that name exists, the
            path can't be reached, the packages for ONNX are missing, the network can't be
            converted, the file's embeddings differ from the network's by more than 1e-4, or a file
            can't be written.
    """
    if file_format not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ExportError(f"format '{file_format}' isn't known; known are {known}")
    try:
        model_path = _model_path(path, SUFFIXES[file_format])
        beside = description_path(model_path)
        loss_path = model_path.with_name(f"{model_path.stem}.loss.safetensors")
        files = (model_path, beside, *([loss_path] if checkpoint.loss_state else ()))
        existing = [name for name in files if name.exists()]
    except OSError as error:
        raise ExportError(
            f"found '{shortened(path)}', which can't be reached ({error.strerror}), allowed: a "
            "file or a folder that can; give a shorter path, or another one"
        ) from error
    if existing:
        raise ExportError(f"found '{existing[0]}' already; choose another name, or remove it")
    side = checkpoint.preprocessing.crop
    samples_N3HW = torch.zeros(1, 3, side, side) if samples_N3HW is None else samples_N3HW
    model = _convert(checkpoint, file_format, samples_N3HW)
    try:
        make_folder(model_path.parent)
        write_whole(model_path, model)
        write_whole(beside, _describe(checkpoint, file_format, model))
        if checkpoint.loss_state:
            write_whole(loss_path, safetensors.torch.save(dict(checkpoint.loss_state)))
    except OSError as error:
        for written in files:
            with suppress(OSError):
                written.unlink()
        raise ExportError(
            f"'{model_path}' can't be written: {error}; give another name, or a folder that has "
            "room"
        ) from error
    return files


def _model_path(path: Path, suffix: str) -> Path:
    if path.is_dir() or not path.suffix:
        return path / f"model{suffix}"
    if path.suffix != suffix:
        raise ExportError(f"found '{path}', allowed: a folder or a file name ending in {suffix}")
    return path


def _describe(checkpoint: Checkpoint, file_format: str, model: bytes) -> bytes:
    description = {
        "format": file_format,
        "backbone": checkpoint.backbone,
        "embedding_size": checkpoint.embedding_size,
        "normalised": file_format != "safetensors",
        "preprocessing": asdict(checkpoint.preprocessing),
        "metadata": dict(checkpoint.metadata),
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    return f"{json.dumps(description, indent=2, ensure_ascii=False)}\n".encode()


def _convert(checkpoint: Checkpoint, file_format: str, samples_N3HW: Tensor) -> bytes:
    if file_format == "safetensors":
        return _to_safetensors(checkpoint.network)
    retrieval = RetrievalNetwork(checkpoint.network).eval()
    # Both tracers would take a single image for a batch that is always 1.
    side = checkpoint.preprocessing.crop
    example_N3HW = torch.zeros(2, 3, side, side)
    if file_format == "onnx":
        model = _to_onnx(retrieval, example_N3HW, checkpoint.backbone)
        embeddings_ND = _run_onnx(model, samples_N3HW)
    else:
        model = _to_torchscript(retrieval, example_N3HW)
        embeddings_ND = _run_torchscript(model, samples_N3HW)
    _check_embeddings(embeddings_ND, retrieval, samples_N3HW)
    return model


def _check_embeddings(
    embeddings_ND: Tensor, retrieval: RetrievalNetwork, samples_N3HW: Tensor
) -> None:
    with torch.inference_mode():
        difference = float((embeddings_ND - retrieval(samples_N3HW)).abs().max())
    # A NaN fails too.
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the exported file's embeddings differ from the network's by up to {difference:.2g}, "
            f"more than {TOLERANCE:g}; nothing was written: choose another format"
        )


def _to_safetensors(network: EmbeddingNetwork) -> bytes:
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    return safetensors.torch.save(state)


def _to_onnx(retrieval: RetrievalNetwork, example_N3HW: Tensor, backbone: str) -> bytes:
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"ONNX needs {' and '.join(missing)}, not installed; pip install 'histsearch[export]'"
        )
    try:
        program = torch.onnx.export(
            retrieval,
            (example_N3HW,),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes={"images_N3HW": {0: torch.export.Dim("N")}},
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(
            f"{backbone} can't be converted to ONNX; choose another format"
        ) from error
    assert program is not None, "the exporter returns nothing only where it writes a file itself"
    model: bytes = program.model_proto.SerializeToString()
    return model


def _run_onnx(model: bytes, images_N3HW: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (embeddings_ND,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_N3HW.numpy()})
    return torch.from_numpy(embeddings_ND)


def _to_torchscript(retrieval: RetrievalNetwork, example_N3HW: Tensor) -> bytes:
    content = io.BytesIO()
    with silent_deprecation(), torch.inference_mode():
        traced = torch.jit.trace(retrieval, example_N3HW)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, content)
    return content.getvalue()


def _run_torchscript(model: bytes, images_N3HW: Tensor) -> Tensor:
    with silent_deprecation(), torch.inference_mode():
        traced = torch.jit.load(io.BytesIO(model))  # type: ignore[no-untyped-call]
        embeddings_ND: Tensor = traced(images_N3HW)
    return embeddings_ND


@contextmanager
def silent_deprecation() -> Iterator[None]:
    """Leave out PyTorch's advice against TorchScript: the user asked for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
        yield
