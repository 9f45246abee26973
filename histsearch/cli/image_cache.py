"""``histsearch data cache``: decoded images, made ahead, looked at and removed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import (
    USUAL_IMAGE_CACHE_LIMIT,
    DataOption,
    ImageCacheLimitOption,
    ImageCacheOption,
    named_image_cache,
)
from histsearch.cli.output import echo, print_table, progress, table
from histsearch.exceptions import DataError
from histsearch.folders import data_folder, image_cache_folder
from histsearch.wording import counted, size_text

if TYPE_CHECKING:
    from histsearch.data.image_cache import DatasetCache
    from histsearch.data.image_forms import WholeImages
    from histsearch.data.image_set import ImageSet

_MOST_PROCESSES = 8
_COLUMNS = ("data set", "in", "form", "images", "size", "")

app = typer.Typer(help="Keep decoded images, so that trials don't decode them anew.")


@app.command()
def build(
    name: Annotated[
        str, typer.Argument(help="A data set that histsearch data list names, or folder:NAME.")
    ],
    cap: Annotated[
        int | None,
        typer.Option(
            "--image-size-cap",
            min=1,
            metavar="PIXELS",
            help="The space's image_size_cap [default: full size]",
        ),
    ] = None,
    data: DataOption = None,
    image_cache: ImageCacheOption = None,
    image_cache_limit: ImageCacheLimitOption = USUAL_IMAGE_CACHE_LIMIT,
) -> None:
    """Decode the training half of a data set and keep it, or check what is kept of it.

    Workers and histsearch train do the same before their first trial. The crops of test and
    validation images are kept when they are first evaluated.
    """
    from histsearch.data.dataset import load_dataset
    from histsearch.data.image_forms import WholeImages

    folder = data_folder(data)
    images = load_dataset(name, folder).train
    if not images.paths:
        echo(f"{name} is rendered by histsearch, so there is no file to decode")
        return
    cache = named_image_cache(image_cache, image_cache_limit).of(name, folder)
    _keep(name, images, cache, WholeImages(cap))


def _keep(name: str, images: "ImageSet", cache: "DatasetCache", form: "WholeImages") -> None:
    from histsearch.data.cache_files import NotKeptError

    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    try:
        stale = len(cache.stale(images.paths, images.to_rgb, form))
        with progress("decoding", stale) as on_image:
            kept = cache.keep(images.paths, images.to_rgb, form, processes, on_image)
    except NotKeptError as reason:
        raise DataError(f"the decoded images of {name} can't be kept: {reason}") from reason
    if stale:
        echo(f"{name} ({form.name}): decoded {counted(stale, 'image')}, {len(kept):,} are kept")
        return
    with progress("checking", len(kept)) as on_image:
        damaged = kept.damaged(on_image)
    if damaged:
        raise DataError(
            f"{name} ({form.name}): found {counted(damaged, 'damaged image')} among the "
            f"{len(kept):,} that are kept decoded; remove them with "
            f"histsearch data cache clear {name}, then build them again"
        )
    echo(f"{name} ({form.name}): {counted(len(kept), 'image')} are kept already, and whole")


@app.command()
def info(image_cache: ImageCacheOption = None) -> None:
    """List the decoded images that are kept."""
    from histsearch.data.cache_contents import kept_forms

    folder = image_cache_folder(image_cache)
    try:
        forms = kept_forms(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    if not forms:
        echo(f"no decoded images in {folder}")
        return
    rows = [
        (one.dataset, one.data_dir, one.form, f"{one.images:,}", size_text(one.size), one.fault)
        for one in forms
    ]
    print_table(table(_COLUMNS, rows))
    echo(f"{size_text(sum(one.size for one in forms))} in {folder}")


@app.command()
def clear(
    name: Annotated[
        str | None, typer.Argument(help="A data set [default: all that are kept]")
    ] = None,
    image_cache: ImageCacheOption = None,
) -> None:
    """Remove decoded images; a worker that is using them goes on with its trial."""
    from histsearch.data.cache_contents import remove

    folder = image_cache_folder(image_cache)
    try:
        removed, staying = remove(folder, name)
    except OSError as error:
        raise _unusable(folder, error) from error
    if staying:
        echo(
            f"warning: {counted(staying, 'form')} of images stay, as another process is keeping "
            "them right now",
            err=True,
        )
    echo(f"removed {size_text(removed)} of decoded images in {folder}")


def _unusable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the decoded images in {folder} can't be listed or removed "
        f"({error.strerror}: {error.filename or folder}): name another folder with --image-cache"
    )
