"""``histsearch evaluate``: a checkpoint's row of Table 3."""

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
from histsearch.cli.options import DataOption
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import WeightsError
from histsearch.folders import data_folder

if TYPE_CHECKING:
    from histsearch.training.evaluation import EmbeddedImages

_NMI_SEED = 0


def evaluate(
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="Our checkpoint, or a published one of HIST.")
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="Data set to evaluate on.")],
    gpu: GpuOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data: DataOption = None,
) -> None:
    """Print a trained model's retrieval figures on the test classes of a data set, in percent.

    The columns are those of Table 3 of Yuan & Le-Phuoc (2023), with R-Precision and MAP@R; the
    published rows stand below where there are any.
    """
    from histsearch.data.catalog import check_dataset_name

    check_dataset_name(dataset)
    pinned = named_gpu(gpu, device)
    torch_device = pin(pinned)

    import torch

    from histsearch.data.dataset import load_dataset
    from histsearch.models.checkpoint import load_checkpoint
    from histsearch.reports.published import published_rows
    from histsearch.training.evaluation import embed_images

    torch.set_num_threads(threads or usual_threads(pinned))
    loaded = load_checkpoint(checkpoint)
    images = load_dataset(dataset, data_folder(data))
    embedded = embed_images(
        loaded.network.to(torch_device),
        images.test,
        images.gallery,
        loaded.preprocessing,
        device=torch.device(torch_device),
        loader_processes=usual_loader_processes(pinned),
    )
    if not torch.isfinite(embedded.query_ND).all():
        raise WeightsError(f"the embeddings of {checkpoint} are NaN or infinite; it is no use")
    _warn_if_incomplete(dataset, data_folder(data))
    rows = {checkpoint.name: _figures(embedded, dataset)}
    _print_rows(rows | published_rows(dataset, loaded.backbone))


def _warn_if_incomplete(dataset: str, folder: Path) -> None:
    from histsearch.data.verification import inspect

    faults = inspect(dataset, folder).faults
    if faults:
        echo(
            f"warning: {dataset} isn't whole here ({faults[0]}), so the published rows say nothing "
            "about these figures",
            err=True,
        )


def _figures(embedded: "EmbeddedImages", dataset: str) -> dict[str, float]:
    from histsearch.data.catalog import nmi_repeats, recall_ks

    ranking = embedded.ranking()
    fractions = {
        **{f"R@{k}": value for k, value in embedded.recall(recall_ks(dataset)).items()},
        "NMI": embedded.nmi(nmi_repeats(dataset), _NMI_SEED),
        "RP": ranking.r_precision,
        "MAP@R": ranking.map_at_r,
    }
    return {name: 100 * value for name, value in fractions.items()}


def _print_rows(rows: dict[str, dict[str, float]]) -> None:
    columns = next(iter(rows.values()))
    cells = [
        (name, *(f"{figures[c]:.1f}" if c in figures else "" for c in columns))
        for name, figures in rows.items()
    ]
    print_table(table(("", *columns), cells, gap=1))
