"""``histsearch evaluate``: a model's row of Table 3."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.device import (
    DeviceOption,
    GpuOption,
    ThreadsOption,
    named_gpu,
    pin,
    usual_loader_processes,
    usual_threads,
)
from histsearch.cli.model_argument import load_named_model, own_dataset
from histsearch.cli.options import DataOption, StorageOption
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import WeightsError
from histsearch.folders import data_folder

if TYPE_CHECKING:
    from histsearch.data.dataset import Dataset
    from histsearch.data.dataset_record import DatasetRecord
    from histsearch.models.checkpoint import Checkpoint
    from histsearch.models.loading import ExportedModel
    from histsearch.training.evaluation import EmbeddedImages

_NMI_SEED = 0


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint",
            metavar="MODEL",
            help="A retrained trial, STUDY/NUMBER, or a file: our checkpoint, a published one of "
            "HIST, or a model that histsearch export wrote, its JSON file beside it.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Data set to evaluate on [default: the model's own]"),
    ] = None,
    gpu: GpuOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Print a trained model's retrieval figures on the test classes of a data set, in percent.

    The columns are those of Table 3 of Yuan & Le-Phuoc (2023), with R-Precision and MAP@R; the
    published rows stand below where there are any. An ONNX file is run on the CPU; a TorchScript
    file is a program, so evaluate one only from somebody you trust.
    """
    from histsearch.data.known_datasets import find_dataset

    if dataset is not None:
        find_dataset(dataset)
    pinned = named_gpu(gpu, device)
    torch_device = pin(pinned)

    import torch

    from histsearch.data.dataset import load_dataset
    from histsearch.reports.published_results import published_rows

    torch.set_num_threads(threads or usual_threads(pinned))
    model = load_named_model(checkpoint, storage)
    images = load_dataset(_dataset(dataset, model, checkpoint), data_folder(data))
    _note_without_digest(model, checkpoint)
    _warn_of_cap(images)
    embedded = _embed(model, images, checkpoint, torch_device, usual_loader_processes(pinned))
    if not torch.isfinite(embedded.query_ND).all():
        raise WeightsError(f"the embeddings of {checkpoint} are NaN or infinite; it is no use")
    _warn_if_incomplete(images.record, data_folder(data))
    label = Path(checkpoint).name if Path(checkpoint).is_file() else checkpoint
    rows = {label: _figures(embedded, images.record)}
    _print_rows(rows | published_rows(images.name, model.backbone))


def _dataset(dataset: str | None, model: "Checkpoint | ExportedModel", name: str) -> str:
    found = dataset or own_dataset(model)
    if found is None:
        raise WeightsError(f"{name} doesn't tell its data set; name one with --dataset")
    return found


def _note_without_digest(model: "Checkpoint | ExportedModel", name: str) -> None:
    # Whatever histsearch writes carries metadata; others' files never have a digest.
    if model.metadata and not model.has_digest:
        echo(
            f"note: {name} carries no digest (an earlier histsearch wrote it, or somebody saved it "
            "again), so damage to it would go unnoticed",
            err=True,
        )


def _warn_of_cap(images: "Dataset") -> None:
    from histsearch.data.census import Part, cap_warning

    warning = cap_warning(Part.of("test", images.test, images.gallery))
    if warning is not None:
        echo(f"warning: {warning}", err=True)


def _embed(
    model: "Checkpoint | ExportedModel",
    images: "Dataset",
    name: str,
    device: str,
    loader_processes: int,
) -> "EmbeddedImages":
    import torch

    from histsearch.training.evaluation import embed_images
    from histsearch.workers.device_fault import is_out_of_memory

    try:
        return embed_images(
            model.network.to(device),
            images.test,
            images.gallery,
            model.preprocessing,
            device=torch.device(device),
            loader_processes=loader_processes,
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        side = model.preprocessing.crop
        raise WeightsError(
            f"out of memory with the images of {side}×{side} pixels that {name} takes; evaluate it "
            "where there is more"
        ) from error


def _warn_if_incomplete(dataset: "DatasetRecord", folder: Path) -> None:
    from histsearch.data.verification import inspect

    faults = inspect(dataset, folder).faults
    if faults:
        echo(
            f"warning: {dataset.name} isn't whole here ({faults[0]}), so the published rows say "
            "nothing about these figures",
            err=True,
        )


def _figures(embedded: "EmbeddedImages", dataset: "DatasetRecord") -> dict[str, float]:
    from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, recall_at

    recalls = [recall_at(k) for k in dataset.recall_ks]
    measured = embedded.measure([*recalls, R_PRECISION, MAP_AT_R])
    fractions = {
        **{metric.label: measured[metric.name] for metric in recalls},
        "NMI": embedded.nmi(dataset.nmi_repeats, _NMI_SEED),
        **{metric.label: measured[metric.name] for metric in (R_PRECISION, MAP_AT_R)},
    }
    return {label: 100 * value for label, value in fractions.items()}


def _print_rows(rows: dict[str, dict[str, float]]) -> None:
    columns = next(iter(rows.values()))
    cells = [
        (name, *(f"{figures[c]:.1f}" if c in figures else "" for c in columns))
        for name, figures in rows.items()
    ]
    print_table(table(("", *columns), cells, gap=1))
