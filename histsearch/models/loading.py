"""Trained networks read back: from checkpoints, and from the files that `export` made of them."""

# N = batch, H, W = height and width in pixels, D = embedding size

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from histsearch.exceptions import WeightsError
from histsearch.models.archive import archive_members
from histsearch.models.checkpoint import Checkpoint, load_checkpoint, restore_network
from histsearch.models.description import (
    ExportDescription,
    ExportFormat,
    description_path,
    faults_text,
)
from histsearch.models.digest import file_digest
from histsearch.models.export import INPUT_NAME, OUTPUT_NAME, silent_deprecation
from histsearch.models.preprocessing import Preprocessing
from histsearch.models.weights import (
    DAMAGED_FILE_ERRORS,
    check_readable,
    find_state_dict,
    read_content,
)

_FORMATS: dict[str, ExportFormat] = {".safetensors": "safetensors", ".onnx": "onnx"}
_TORCHSCRIPT_MEMBER = "constants.pkl"  # torch.jit.save writes it, torch.save doesn't
_MOST_DESCRIPTION_BYTES = 2**20


@dataclass(frozen=True)
class ExportedModel:
    """A network that a file holds as a whole, and what the JSON file beside it says of it.

    Attributes:
        network: Maps preprocessed images (N, 3, crop, crop) to embeddings (N, D) of length 1. In
            eval mode, on the CPU; that of an ONNX file stays there.
        backbone: Name of its backbone.
        embedding_size: D.
        preprocessing: The input images it was trained on.
        metadata: The checkpoint's.
        has_digest: Whether the JSON file holds a digest of the model's file, which then fits.
    """

    network: nn.Module
    backbone: str
    embedding_size: int
    preprocessing: Preprocessing
    metadata: Mapping[str, Any]
    has_digest: bool


class OnnxNetwork(nn.Module):
    """The network in an ONNX file, run by onnxruntime on the CPU."""

    def __init__(self, path: Path, name: str) -> None:
        """Read the file at `path`, which is called `name` in errors.

        Raises:
            WeightsError: Onnxruntime is missing, the file can't be read, or it takes and gives
                other tensors than an exported one.
        """
        super().__init__()
        if importlib.util.find_spec("onnxruntime") is None:
            raise WeightsError(
                f"'{name}' needs onnxruntime, which isn't installed; "
                "pip install 'histsearch[export]'"
            )
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as refusals

        # They have no base of their own.
        self._errors = (
            refusals.Fail,
            refusals.InvalidArgument,
            refusals.InvalidGraph,
            refusals.InvalidProtobuf,
            refusals.NotImplemented,
            refusals.RuntimeException,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise _unusable(name, "it's damaged or no ONNX file") from error
        inputs = [one.name for one in self._session.get_inputs()]
        outputs = [one.name for one in self._session.get_outputs()]
        if (inputs, outputs) != ([INPUT_NAME], [OUTPUT_NAME]):
            raise _unusable(
                name, f"it takes {inputs} and gives {outputs}, not {INPUT_NAME} and {OUTPUT_NAME}"
            )

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the embeddings (N, D) of images (N, 3, H, W), on the images' device.

        Raises:
            RuntimeError: The network can't take them.
        """
        try:
            (embeddings_ND,) = self._session.run(
                [OUTPUT_NAME], {INPUT_NAME: images_N3HW.cpu().numpy()}
            )
        except self._errors as error:
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(embeddings_ND).to(images_N3HW.device)


def load_model(path: Path, name: str | None = None) -> Checkpoint | ExportedModel:
    """Load a trained network from a checkpoint, or from a file that `export_network` wrote.

    A TorchScript file is a program. Load one only from somebody you trust.

    Args:
        path: The file. An exported one has its JSON file beside it; a safetensors file without one
            is read as a checkpoint, for published weights tell their backbone by their keys.
        name: What to call it in an error; its path if left out.

    Raises:
        WeightsError: The file or the JSON file can't be read, they don't fit each other, the
            network can't take the images it was made for, or onnxruntime is needed and missing.
        SpaceError: No backbone has the name that is told, or it is timm's and timm is missing.
    """
    name = name or str(path)
    check_readable(path, name)
    model = _load(path, name)
    _check_embeddings(model, name)
    return model


def _load(path: Path, name: str) -> Checkpoint | ExportedModel:
    file_format = _exported_format(path)
    if file_format is None:
        return load_checkpoint(path, name=name)
    is_weights = file_format == "safetensors"
    if is_weights and not description_path(path).exists():
        return load_checkpoint(path, name=name)
    description = _read_description(path, file_format, name)
    has_digest = _check_digest(path, description, name)
    if is_weights:
        state = find_state_dict(read_content(path, name).value, name)
        return restore_network(
            description, state, description.metadata, name, has_digest=has_digest
        )
    return ExportedModel(
        network=_READERS[file_format](path, name).eval(),
        backbone=description.backbone,
        embedding_size=description.embedding_size,
        preprocessing=description.preprocessing,
        metadata=description.metadata,
        has_digest=has_digest,
    )


def _exported_format(path: Path) -> ExportFormat | None:
    """The format of an exported file; None of another one."""
    if path.suffix in _FORMATS:
        return _FORMATS[path.suffix]
    members = {PurePosixPath(member).name for member in archive_members(path)}
    return "torchscript" if _TORCHSCRIPT_MEMBER in members else None


def _read_description(path: Path, file_format: ExportFormat, name: str) -> ExportDescription:
    beside = description_path(path)
    try:
        description = ExportDescription.model_validate_json(_read_json(beside, name))
    except ValidationError as error:
        raise WeightsError(
            f"'{beside}' doesn't say what the model is: {faults_text(error)}; export it anew"
        ) from error
    if description.format != file_format:
        raise WeightsError(
            f"'{beside}' describes a file of format {description.format}, and '{name}' is of "
            f"format {file_format}; keep the two files of an export together"
        )
    return description


def _read_json(beside: Path, name: str) -> bytes:
    sentence = (
        f"'{name}' needs the file '{beside}', which says what the model is and which {{}}; "
        "histsearch export writes the two files together, so keep them together"
    )
    if not beside.is_file():
        raise WeightsError(sentence.format("doesn't exist"))
    try:
        with beside.open("rb") as file:
            content = file.read(_MOST_DESCRIPTION_BYTES + 1)
    except OSError as error:
        raise WeightsError(sentence.format(f"can't be read ({error.strerror})")) from error
    if len(content) > _MOST_DESCRIPTION_BYTES:
        raise WeightsError(sentence.format(f"is longer than {_MOST_DESCRIPTION_BYTES} bytes"))
    return content


def _check_digest(path: Path, description: ExportDescription, name: str) -> bool:
    """Whether the JSON file holds the model file's digest."""
    if description.sha256 is None:
        return False
    with path.open("rb") as file:
        found = file_digest(file)
    if found != description.sha256:
        raise WeightsError(
            f"'{name}' is damaged, or isn't the file that '{description_path(path)}' describes: "
            "its digest is another; copy both again, or export the model anew"
        )
    return True


def _read_torchscript(path: Path, name: str) -> nn.Module:
    try:
        with silent_deprecation():
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                path, map_location="cpu"
            )
    except (OSError, *DAMAGED_FILE_ERRORS) as error:
        raise _unusable(name, "it's damaged") from error
    return module


_READERS: dict[ExportFormat, Callable[[Path, str], nn.Module]] = {
    "onnx": OnnxNetwork,
    "torchscript": _read_torchscript,
}


@torch.no_grad()
def _check_embeddings(model: Checkpoint | ExportedModel, name: str) -> None:
    """Embed one blank image: a description may name images that its network can't take."""
    side = model.preprocessing.crop
    try:
        embeddings_ND = model.network(torch.zeros(1, 3, side, side))
    except DAMAGED_FILE_ERRORS as error:
        raise _unusable(name, f"it can't take images of {side}×{side} pixels") from error
    shape = tuple(getattr(embeddings_ND, "shape", ()))
    if shape != (1, model.embedding_size):
        raise _unusable(
            name, f"an image's embedding has shape {shape}, not (1, {model.embedding_size})"
        )


def _unusable(name: str, reason: str) -> WeightsError:
    return WeightsError(f"the model '{name}' can't be used: {reason}; export or train it anew")
