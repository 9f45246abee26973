"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from histsearch.studies.storage import Storage

StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="PostgreSQL of the studies, postgresql://USER:PASSWORD@HOST:5432/DATABASE. Left out: "
        "HISTSEARCH_STORAGE, else an embedded PostgreSQL in your data folder.",
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


def open_storage(option: str | None) -> "Storage":
    """Connect to the storage that ``--storage`` or the environment names."""
    import optuna

    from histsearch.studies.storage import Storage, storage_url

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Storage(storage_url(option))


def workers_hint(study: str) -> str:
    """What to do once a study has been created."""
    return f"start workers with: histsearch worker --study {study} --gpu 0 (or --device cpu)"
