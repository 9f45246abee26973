"""``histsearch evaluate``: a model's row of Table 3."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.device import (
    DeviceOption,
    GpuOption,
    LoadersOption,
    ThreadsOption,
    loader_processes,
    named_gpu,
    pin,
    usual_threads,
)
from histsearch.cli.model_argument import load_named_model, own_dataset
from histsearch.cli.options import (
    USUAL_IMAGE_CACHE_LIMIT,
    DataOption,
    ImageCacheLimitOption,
    ImageCacheOption,
    StorageOption,
    named_image_cache,
)
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import WeightsError
from histsearch.folders import data_folder

if TYPE_CHECKING:
    from histsearch.data.dataset import Dataset
    from histsearch.data.dataset_record import DatasetRecord
    from histsearch.models.checkpoint import Checkpoint
    from histsearch.models.loading import ExportedModel


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
    loaders: LoadersOption = None,
    data: DataOption = None,
    image_cache: ImageCacheOption = None,
    image_cache_limit: ImageCacheLimitOption = USUAL_IMAGE_CACHE_LIMIT,
    storage: StorageOption = None,
) -> None:
    """Print a trained model's retrieval figures on the test classes of a data set, in percent.

    The columns are those of Table 3 of Yuan & Le-Phuoc (2023), with R-Precision and MAP@R; the
    published rows stand below where there are any. An ONNX file is run on the CPU; a TorchScript
    file is a program, so evaluate one only from somebody you trust.
    """
    # Torch, which a package that adds the data set may need, has to find the GPU pinned.
    pinned = named_gpu(gpu, device)
    torch_device = pin(pinned)

    from histsearch.data.known_datasets import find_dataset

    if dataset is not None:
        find_dataset(dataset)

    import torch

    from histsearch.data.dataset import load_dataset
    from histsearch.reports.evaluation import evaluate_model
    from histsearch.reports.published_results import published_rows

    torch.set_num_threads(threads or usual_threads(pinned))
    model = load_named_model(checkpoint, storage)
    folder = data_folder(data)
    images = load_dataset(_dataset(dataset, model, checkpoint), folder)
    cache = named_image_cache(image_cache, image_cache_limit).of(images.name, folder)
    _note_without_digest(model, checkpoint)
    _warn_of_cap(images)
    figures = evaluate_model(
        model,
        images.with_cache(cache),
        checkpoint,
        device=torch_device,
        loader_processes=loader_processes(loaders, pinned),
    )
    _warn_if_incomplete(images.record, folder)
    label = Path(checkpoint).name if Path(checkpoint).is_file() else checkpoint
    _print_rows({label: figures} | published_rows(images.name, model.backbone))


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


def _warn_if_incomplete(dataset: "DatasetRecord", folder: Path) -> None:
    from histsearch.data.verification import inspect

    faults = inspect(dataset, folder).faults
    if faults:
        echo(
            f"warning: {dataset.name} isn't whole here ({faults[0]}), so the published rows say "
            "nothing about these figures",
            err=True,
        )


def _print_rows(rows: dict[str, dict[str, float]]) -> None:
    columns = next(iter(rows.values()))
    cells = [
        (name, *(f"{figures[c]:.1f}" if c in figures else "" for c in columns))
        for name, figures in rows.items()
    ]
    print_table(table(("", *columns), cells, gap=1))
