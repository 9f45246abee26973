"""Options that several commands share."""

import re
import tomllib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histsearch.cli.logs import LogFormat
from histsearch.exceptions import DataError, NoTablesError, SpaceError
from histsearch.folders import image_cache_folder
from histsearch.space.refusals import show
from histsearch.space.toml_text import parse_toml

if TYPE_CHECKING:
    from histsearch.data.image_cache import ImageCache
    from histsearch.database.storage import Purpose, Storage

_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?) ?(?P<unit>|[kKMGT]?B)", re.ASCII)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="PostgreSQL of the studies, postgresql://USER:PASSWORD@HOST:5432/DATABASE. Left out: "
        "HISTSEARCH_STORAGE, else an embedded PostgreSQL in HISTSEARCH_HOME. A URL shows in the "
        "list of processes: with a password in it, prefer HISTSEARCH_STORAGE.",
    ),
]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of the data sets. Left out: HISTSEARCH_DATA, else the folder data in your "
        "histsearch folder.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="WEIGHTS",
        help='"pretrained", "none" (random initialisation) or a file, its path relative to the '
        "folder of the data sets [default: the space's]",
    ),
]
CheckpointsOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoints",
        metavar="DIR|s3://BUCKET/PREFIX",
        help="Where retrained models lie, and the checkpoints used to resume interrupted trials; "
        "workers on several machines share it. Left out: HISTSEARCH_CHECKPOINTS, else the folder "
        "checkpoints in your histsearch folder.",
    ),
]
ImageCacheOption = Annotated[
    Path | None,
    typer.Option(
        "--image-cache",
        metavar="DIR",
        help="Where decoded images are kept, on a disk of this machine. Left out: "
        "HISTSEARCH_IMAGE_CACHE, else a folder of yours in /var/tmp.",
    ),
]
ImageCacheLimitOption = Annotated[
    str,
    typer.Option(
        "--image-cache-limit",
        metavar="SIZE",
        help="Most room that decoded images may take there, such as 100GB; 0 keeps none.",
    ),
]
USUAL_IMAGE_CACHE_LIMIT = "20GB"
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="How to write the log on standard error.")
]


def open_to_read(option: str | None) -> "Storage":
    """Connect to the storage that ``--storage`` or the environment names, and change nothing."""
    from histsearch.database.storage import Purpose

    return _open(option, Purpose.READ)


def open_to_change(option: str | None) -> "Storage":
    """The same for a command that changes what is there."""
    from histsearch.database.storage import Purpose

    return _open(option, Purpose.CHANGE)


def named_image_cache(folder: Path | None, limit: str) -> "ImageCache":
    """The cache of decoded images that the two options name.

    Raises:
        DataError: The limit is no size.
    """
    from histsearch.data.image_cache import ImageCache

    return ImageCache(image_cache_folder(folder), _bytes_of(limit))


def _bytes_of(size: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise DataError(
            f"found --image-cache-limit {show(size)}, allowed: a size such as 500MB, 20GB or 0"
        )
    return int(float(match["number"]) * _UNITS[match["unit"].upper()])


def _never() -> bool:
    return False


def open_to_create(option: str | None, should_hurry: Callable[[], bool] = _never) -> "Storage":
    """The same for a command that may begin with an empty database.

    Args:
        option: What ``--storage`` says.
        should_hurry: Asked while PostgreSQL is waited for, as `Storage` takes it.
    """
    from histsearch.database.storage import Purpose

    return _open(option, Purpose.CREATE, should_hurry)


def _open(
    option: str | None, purpose: "Purpose", should_hurry: Callable[[], bool] = _never
) -> "Storage":
    import optuna

    from histsearch.database.storage import Purpose, Storage, named_storage, storage_url

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = storage_url(option)
    try:
        return Storage(url, purpose, should_hurry)
    except NoTablesError:
        if named_storage(option):
            raise
        return Storage(url, Purpose.CREATE, should_hurry)  # the embedded server is histsearch's own


def workers_hint(*studies: str) -> str:
    """What to do once studies have been created."""
    served = " ".join(f"--study {study}" for study in studies)
    return f"start workers with: histsearch worker {served} --gpu 0 (or --device cpu)"


def repeated_arguments(context: typer.Context, but: Collection[str]) -> list[str]:
    """The options that a command was given, as arguments for another process.

    Args:
        context: How it was called.
        but: Parameters to leave out, by their names in Python.
    """
    arguments: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in but or source is None or source.name != "COMMANDLINE":
            continue
        option, value = parameter.opts[0], context.params[name]
        if isinstance(value, bool):
            arguments.append(option if value else parameter.secondary_opts[0])
        else:
            values = value if isinstance(value, list | tuple) else [value]
            arguments += [f"{option}={one}" for one in values]
    return arguments


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE arguments, each value as TOML reads it, else as a word."""
    values: dict[str, Any] = {}
    for key, value in map(_assignment, texts):
        if key in values:
            raise SpaceError(f"found {key} twice; give each name once")
        values[key] = value
    return values


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise SpaceError(
            f"found {show(text)}, allowed: KEY=VALUE, for instance tau=24 or trials=60"
        )
    literal = value.strip().lower() if value.strip().lower() in ("true", "false") else value
    for text_of_value in (literal, f"0{literal}"):  # TOML wants 0.1 where people write .1
        try:
            table = parse_toml(f"value = {text_of_value}")
        except tomllib.TOMLDecodeError:
            continue
        except SpaceError as error:
            raise SpaceError(f"{key}: {error}") from error
        if len(table) == 1:
            return key, table["value"]
    return key, value
