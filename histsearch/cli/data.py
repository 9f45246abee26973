"""``histsearch data``: put data sets in place and check them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import DataOption
from histsearch.cli.output import echo
from histsearch.exceptions import DataError
from histsearch.folders import data_folder
from histsearch.wording import counted

if TYPE_CHECKING:
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
    pieces = missing_pieces(name, folder)
    if pieces:
        archives = archive or find_archives(pieces, folder)
        echo(f"unpacking {', '.join(str(path) for path in archives)} into {folder}")
        put_in_place(pieces, archives, folder)
    elif archive:
        echo(f"{name} is in place already; to unpack it anew, remove its folder first")
    inspection = inspect(name, folder)
    _print_sizes(inspection.sizes)
    _refuse_faults(name, folder, inspection.faults)
    echo(f"{name} is ready in {folder}")


@app.command()
def verify(
    name: Annotated[
        str, typer.Argument(help="glyphs, cub200, cars196, sop, inshop, folder or folder:NAME.")
    ],
    data: DataOption = None,
) -> None:
    """Count a data set and decode every image of it."""
    from histsearch.data.verification import decoding_faults, inspect

    folder = data_folder(data)
    inspection = inspect(name, folder)
    _print_sizes(inspection.sizes)
    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    decoding = decoding_faults(inspection.paths, processes)
    _refuse_faults(name, folder, (*inspection.faults, *decoding))
    if inspection.paths:
        echo(f"{name} is whole: all {counted(len(inspection.paths), 'image file')} can be read")
    else:
        echo(f"{name} is whole: histsearch renders it, so there is no file to read")


@app.command("list")
def list_(data: DataOption = None) -> None:
    """List the known data sets and the folders of images in the data folder."""
    from histsearch.data.inventory import take_inventory

    entries = take_inventory(data_folder(data))
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        sizes = "; ".join(f"{part} {size}" for part, size in entry.sizes.items())
        echo(f"{entry.name:<{width}}  {entry.state:<10}  {sizes}".rstrip())
        for fault in entry.faults:
            echo(f"{'':<{width}}  {fault}")


def _print_sizes(sizes: Mapping[str, "Size"]) -> None:
    for part, size in sizes.items():
        echo(f"{part + ':':<9}{size}")


def _refuse_faults(name: str, folder: Path, faults: Iterable[str]) -> None:
    lines = list(faults)
    if lines:
        raise DataError(f"{name} in {folder} has faults:", *(f"  {line}" for line in lines))
