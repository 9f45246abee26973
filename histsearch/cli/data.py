"""``histsearch data``: put data sets in place and check them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli import image_cache
from histsearch.cli.denied import megabytes, warn_of_staying, warn_of_unlisted
from histsearch.cli.options import CheckpointsOption, DataOption, StorageOption, open_to_read
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import CheckpointError, DataError
from histsearch.folders import DATA_VARIABLE, checkpoint_location, data_folder, make_home
from histsearch.wording import counted

if TYPE_CHECKING:
    from histsearch.data.dataset import Dataset
    from histsearch.data.dataset_record import Size
    from histsearch.studies.saved_states import Saved, Stock

_MOST_PROCESSES = 8
_STOCK_COLUMNS = (
    "study",
    "key",
    "study is",
    "states of",
    "left over",
    "models",
    "embeddings",
    "size",
)

app = typer.Typer(help="Put data sets in place and check them.", no_args_is_help=True)
app.add_typer(image_cache.app, name="cache", no_args_is_help=True)


@app.command()
def prepare(
    name: Annotated[
        str,
        typer.Argument(help="An official data set; histsearch data list names them."),
    ],
    archive: Annotated[
        list[Path] | None,
        typer.Option(
            "--archive",
            metavar="FILE",
            help="An official archive, may be repeated. Left out: those of the official names in "
            "DIR or DIR/archives.",
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Unpack the official archives of a data set and count what they hold.

    Nothing is downloaded, and the archives stay as they are.
    """
    from histsearch.data.known_datasets import find_official_dataset
    from histsearch.data.layouts import find_archives, missing_pieces, put_in_place
    from histsearch.data.verification import inspect

    folder = data_folder(data)
    record = find_official_dataset(name)
    layouts = missing_pieces(record.layouts, folder)
    if layouts:
        archives = archive or find_archives(layouts, folder)
        if not _is_named(data):
            make_home()
        echo(f"unpacking {', '.join(str(path) for path in archives)} into {folder}")
        put_in_place(layouts, archives, folder)
    elif archive:
        echo(f"{name} is in place already; to unpack it anew, remove its folder first")
    inspection = inspect(record, folder)
    _print_sizes(inspection.sizes)
    _refuse_faults(name, folder, inspection.faults)
    echo(f"{name} is ready in {folder}")


@app.command()
def verify(
    name: Annotated[
        str, typer.Argument(help="A data set that histsearch data list names, or folder:NAME.")
    ],
    data: DataOption = None,
) -> None:
    """Count a data set, decode every image of it and look for files it holds twice."""
    from histsearch.data.duplicates import duplicates
    from histsearch.data.known_datasets import find_dataset
    from histsearch.data.verification import decoding_faults, inspect

    folder = data_folder(data)
    inspection = inspect(find_dataset(name), folder)
    _print_sizes(inspection.sizes)
    for remark in inspection.dataset.remarks:
        echo(f"note: {remark}")
    _print_census(inspection.dataset)
    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    decoding = decoding_faults(inspection.paths, processes, inspection.dataset.train.to_rgb)
    _warn(duplicates(inspection.dataset))
    _refuse_faults(name, folder, (*inspection.faults, *decoding))
    if inspection.paths:
        echo(f"{name} is whole: all {counted(len(inspection.paths), 'image file')} can be read")
    else:
        echo(f"{name} is whole: histsearch renders it, so there is no file to read")


@app.command("list")
def list_(data: DataOption = None) -> None:
    """List the known data sets and the folders of images in the data folder."""
    from histsearch.data.inventory import take_inventory

    folder = data_folder(data)
    if not folder.is_dir():
        _tell_no_folder(folder, named=_is_named(data))
    entries = take_inventory(folder)
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        sizes = "; ".join(f"{part} {size}" for part, size in entry.sizes.items())
        echo(f"{entry.name:<{width}}  {entry.state:<10}  {sizes}".rstrip())
        for fault in entry.faults:
            echo(f"{'':<{width}}  {fault}")
        for warning in entry.warnings:
            echo(f"{'':<{width}}  warning: {warning}")


def _is_named(data: Path | None) -> bool:
    """Whether the user says which the data folder is."""
    return bool(data or os.environ.get(DATA_VARIABLE))


def _tell_no_folder(folder: Path, *, named: bool) -> None:
    if named:
        raise DataError(
            f"There is no folder {folder}: give the folder of the data sets with --data or in "
            f"{DATA_VARIABLE}, or create it."
        )
    echo(f"there is no folder {folder} yet; --data names another", err=True)


def _print_census(dataset: "Dataset") -> None:
    """Print how a search divides a data set, and what its figures can't tell then."""
    from histsearch.data.census import take_census
    from histsearch.data.hold_out import USUAL_HOLD_OUT

    try:
        census = take_census(dataset, USUAL_HOLD_OUT)
    except DataError as error:
        _warn([f"with the usual protocol no worker takes it: {error}"])
        return
    echo(f"in a search with the usual protocol: {census}")
    _warn(census.warnings())


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        echo(f"warning: {warning}", err=True)


@app.command()
def states(
    clean: Annotated[bool, typer.Option("--clean", help="Remove what is left over.")] = False,
    checkpoints: CheckpointsOption = None,
    storage: StorageOption = None,
) -> None:
    """Say how much lies where checkpoints are kept, and what of it nobody needs any more.

    A state is left over when its trial has finished or its study was deleted, embeddings when their
    study was. Models are never removed, nor is what belongs to another database or may do so.
    """
    from histsearch.studies.saved_states import remove_left_over, take_stock
    from histsearch.training.checkpoint_store import open_checkpoint_store

    location = checkpoint_location(checkpoints)
    if checkpoints is not None and "://" not in location and not Path(location).exists():
        raise CheckpointError(
            f"There is no folder {location}: give the one of the checkpoints with --checkpoints"
        )
    store = open_checkpoint_store(location)
    opened = open_to_read(storage)
    if clean:
        opened.check_completeness()  # what isn't seen would count as deleted
    stocks = take_stock(opened, store, on_denied=warn_of_unlisted)
    if not stocks:
        echo(f"no states and no models in {location}")
        return
    _print_stocks(stocks)
    left_over = [saved for stock in stocks for saved in stock.left_over]
    if left_over and clean:
        denied = remove_left_over(store, stocks)
        warn_of_staying(denied)
        staying = {one.saved for one in denied}
        removed = [saved for saved in left_over if saved not in staying]
        echo(f"removed what was left over, {megabytes(removed)}")
    elif left_over:
        echo(
            f"{megabytes(left_over)} are left over, of finished trials and deleted studies: "
            "histsearch data states --clean removes them"
        )
    for line in _remarks(stocks, location):
        echo(line)


def _print_stocks(stocks: "Sequence[Stock]") -> None:
    rows = [
        (
            stock.study,
            stock.key,
            stock.owner.value,
            _trials(stock.states),
            _trials(stock.left_over),
            str(len(stock.models)),
            str(len(stock.embeddings)),
            megabytes([*stock.states, *stock.left_over, *stock.models, *stock.embeddings]),
        )
        for stock in stocks
    ]
    print_table(table(_STOCK_COLUMNS, rows))


def _remarks(stocks: "Sequence[Stock]", location: str) -> Iterator[str]:
    from histsearch.studies.saved_states import Owner

    if any(stock.models and stock.owner == Owner.DELETED for stock in stocks):
        yield f"models of deleted studies stay; remove their folders in {location} yourself"
    if any(stock.owner in (Owner.ELSEWHERE, Owner.UNKNOWN) for stock in stocks):
        yield "what belongs to another database, or doesn't say to which, is left alone"


def _trials(saved: "Sequence[Saved]") -> str:
    return counted(len({one.trial for one in saved}), "trial")


def _print_sizes(sizes: Mapping[str, "Size"]) -> None:
    for part, size in sizes.items():
        echo(f"{part + ':':<9}{size}")


def _refuse_faults(name: str, folder: Path, faults: Iterable[str]) -> None:
    lines = list(faults)
    if lines:
        raise DataError(f"{name} in {folder} has faults:", *(f"  {line}" for line in lines))
