"""``histsearch export``: a trained model, ready for retrieval."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.model_argument import load_named_model, own_dataset
from histsearch.cli.options import DataOption, StorageOption
from histsearch.cli.output import echo
from histsearch.exceptions import ExportError
from histsearch.folders import data_folder

if TYPE_CHECKING:
    from torch import Tensor

    from histsearch.models.checkpoint import Checkpoint

_SAMPLES = 8


class ExportFormat(StrEnum):
    """Formats of an exported model."""

    safetensors = "safetensors"
    onnx = "onnx"
    torchscript = "torchscript"


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A retrained trial, STUDY/NUMBER, or the path of a checkpoint or a safetensors "
            "file with its JSON file.",
        ),
    ],
    format_: Annotated[ExportFormat, typer.Option("--format", help="Format to write.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="File or folder to write to."),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Data set whose images an ONNX file is checked on [default: the model's own]",
        ),
    ] = None,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Write a trained model with its preprocessing, for use without histsearch.

    ONNX and TorchScript files take preprocessed images and give embeddings of length 1; a
    safetensors file holds the weights. An ONNX file is compared with the model it came from, on
    real images, before it is kept.
    """
    from histsearch.models.export import export_network

    checkpoint = _load(model, storage)
    samples = None
    if format_ == ExportFormat.onnx:
        samples = _sample_images(checkpoint, dataset, data_folder(data))
    written = export_network(checkpoint, out, format_.value, samples_N3HW=samples)
    echo("wrote " + " and ".join(str(path) for path in written))


def _load(text: str, storage: str | None) -> "Checkpoint":
    from histsearch.models.checkpoint import Checkpoint

    model = load_named_model(text, storage)
    if not isinstance(model, Checkpoint):
        raise ExportError(
            f"found {text}, an exported file without separate weights; give the checkpoint or the "
            "trial that it came from"
        )
    return model


def _sample_images(checkpoint: "Checkpoint", dataset: str | None, data_dir: Path) -> "Tensor":
    from histsearch.data.dataset import load_dataset
    from histsearch.training.evaluation import first_images

    name = dataset or own_dataset(checkpoint)
    if name is None:
        raise ExportError("name the data set whose images the ONNX file is checked on: --dataset")
    return first_images(load_dataset(name, data_dir).test, checkpoint.preprocessing, _SAMPLES)
