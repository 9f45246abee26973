"""``histsearch export``: a trained model, ready for retrieval."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import DataOption, StorageOption, open_storage
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
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL", help="A retrained trial, STUDY/NUMBER, or a checkpoint's path."
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

    checkpoint = _load(trial, storage)
    samples = None
    if format_ == ExportFormat.onnx:
        samples = _sample_images(checkpoint, dataset, data_folder(data))
    written = export_network(checkpoint, out, format_.value, samples_N3HW=samples)
    echo("wrote " + " and ".join(str(path) for path in written))


def _load(trial: str, storage: str | None) -> "Checkpoint":
    from histsearch.models.checkpoint import load_checkpoint

    if Path(trial).is_file():
        return load_checkpoint(Path(trial))
    from histsearch.studies.checkpoints import trial_checkpoint

    with trial_checkpoint(open_storage(storage), trial) as file:
        return load_checkpoint(file)


def _sample_images(checkpoint: "Checkpoint", dataset: str | None, data_dir: Path) -> "Tensor":
    import torch

    from histsearch.data.dataset import load_dataset
    from histsearch.models.transforms import test_transform

    name = dataset or checkpoint.metadata.get("dataset")
    if name is None:
        raise ExportError("name the data set whose images the ONNX file is checked on: --dataset")
    images = load_dataset(str(name), data_dir).test
    transform = test_transform(checkpoint.preprocessing)
    return torch.stack([transform(images.image(i)) for i in range(min(_SAMPLES, len(images)))])
