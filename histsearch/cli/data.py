"""``histsearch data``: put data sets in place and check them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import DataOption
from histsearch.exceptions import DataError
from histsearch.folders import DATA_VARIABLE, data_folder

if TYPE_CHECKING:
    from histsearch.data.dataset import Dataset
    from histsearch.data.published import Size

_MOST_PROCESSES = 8

app = typer.Typer(help="Put data sets in place and check them.", no_args_is_help=True)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="cub200, cars196, sop or inshop.")],
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
    from histsearch.data.layouts import find_archives, missing_pieces, put_in_place
    from histsearch.data.verification import inspect

    folder = data_folder(data)
    layouts = missing_pieces(name, folder)
    if layouts:
        archives = archive or find_archives(layouts, folder)
        typer.echo(f"unpacking {', '.join(str(path) for path in archives)} into {folder}")
        put_in_place(layouts, archives, folder)
    elif archive:
        typer.echo(f"{name} is in place already; to unpack it anew, remove its folder first")
    inspection = inspect(name, folder)
    _print_sizes(inspection.sizes)
    _refuse_faults(name, folder, inspection.faults)
    typer.echo(f"{name} is ready in {folder}")


@app.command()
def verify(
    name: Annotated[
        str, typer.Argument(help="glyphs, cub200, cars196, sop, inshop, folder or folder:NAME.")
    ],
    data: DataOption = None,
) -> None:
    """Count a data set, decode every image of it and look for files it holds twice."""
    from histsearch.data.duplicates import duplicates
    from histsearch.data.verification import decoding_faults, inspect

    folder = data_folder(data)
    inspection = inspect(name, folder)
    _print_sizes(inspection.sizes)
    _print_census(inspection.dataset)
    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    decoding = decoding_faults(inspection.paths, processes)
    _warn(duplicates(inspection.dataset))
    _refuse_faults(name, folder, (*inspection.faults, *decoding))
    if inspection.paths:
        typer.echo(f"{name} is whole: all {len(inspection.paths):,} image files can be read")
    else:
        typer.echo(f"{name} is whole: histsearch renders it, so there is no file to read")


@app.command("list")
def list_(data: DataOption = None) -> None:
    """List the known data sets and the folders of images in the data folder."""
    from histsearch.data.inventory import take_inventory

    folder = data_folder(data)
    if not folder.is_dir():
        _tell_no_folder(folder, named=bool(data or os.environ.get(DATA_VARIABLE)))
    entries = take_inventory(folder)
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        sizes = "; ".join(f"{part} {size}" for part, size in entry.sizes.items())
        typer.echo(f"{entry.name:<{width}}  {entry.state:<10}  {sizes}".rstrip())
        for fault in entry.faults:
            typer.echo(f"{'':<{width}}  {fault}")
        for warning in entry.warnings:
            typer.echo(f"{'':<{width}}  warning: {warning}")


def _tell_no_folder(folder: Path, *, named: bool) -> None:
    if named:
        raise DataError(
            f"There is no folder {folder}: give the folder of the data sets with --data or in "
            f"{DATA_VARIABLE}, or create it."
        )
    typer.echo(f"there is no folder {folder} yet; --data names another", err=True)


def _print_census(dataset: "Dataset") -> None:
    """Print how a search divides a data set, and what its figures can't tell then."""
    from histsearch.data.census import take_census
    from histsearch.data.hold_out import USUAL_HOLD_OUT

    try:
        census = take_census(dataset, USUAL_HOLD_OUT)
    except DataError as error:
        _warn([f"with the usual protocol no worker takes it: {error}"])
        return
    typer.echo(f"in a search with the usual protocol: {census}")
    _warn(census.warnings())


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _print_sizes(sizes: Mapping[str, "Size"]) -> None:
    for part, size in sizes.items():
        typer.echo(f"{part + ':':<9}{size}")


def _refuse_faults(name: str, folder: Path, faults: Iterable[str]) -> None:
    lines = list(faults)
    if lines:
        raise DataError("\n  ".join([f"{name} in {folder} has faults:", *lines]))
