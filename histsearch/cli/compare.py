"""``histsearch compare``: create searches that are tuned alike, each over another loss."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.images_here import tell_images
from histsearch.cli.options import DataOption, StorageOption, open_to_create
from histsearch.cli.output import echo, print_table, table
from histsearch.folders import data_folder

if TYPE_CHECKING:
    from histsearch.studies.searches_of_spaces import SearchOfSpace
    from histsearch.studies.study import Study

_COLUMNS = ("study", "loss", "hyperparameters", "trials", "")


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Two spaces or more: those that come with histsearch, TOML files, or folders of "
            "either, such as reality-check.",
        ),
    ],
    trials: Annotated[
        int | None, typer.Option("--trials", help="Trial budget of each [default: the spaces']")
    ] = None,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Create the studies of losses to compare, where they are tuned alike.

    Their spaces may differ in the loss and its own hyperparameters alone. All studies are created
    or none; those that exist with the same definition are kept.
    """
    from histsearch.space.reading import load_spaces
    from histsearch.studies.alike_searches import plan_alike
    from histsearch.studies.definition import TEST_SELECTION
    from histsearch.studies.searches_of_spaces import create_missing

    planned = plan_alike(load_spaces(names), trials=trials)
    searches = create_missing(open_to_create(storage), planned)
    print_table(table(_COLUMNS, map(_row, searches)))
    first = searches[0].study
    if first.definition.touches_test_classes:
        echo(f"warning: these studies select on the {TEST_SELECTION}", err=True)
    tell_images(first, data_folder(data))
    _print_commands([one.study for one in searches])


def _row(one: "SearchOfSpace") -> tuple[str, ...]:
    space = one.study.definition.space
    return (
        one.study.name,
        str(space.loss),
        ", ".join(space.search),
        str(one.study.budget),
        "created" if one.is_new else "exists",
    )


def _print_commands(searches: "Sequence[Study]") -> None:
    """The commands from here to the report; what has been retrained already isn't again."""
    from histsearch.studies.retraining import SUFFIX
    from histsearch.studies.retraining_seeds import retrainings_of

    names = [one.name for one in searches]
    known = {one.name: [other.name for other in retrainings_of(one)] for one in searches}
    to_retrain = [name for name in names if not known[name]]
    runs = [one for name in names for one in known[name] or [f"{name}{SUFFIX}"]]
    echo("then, with --device cpu in place of --gpu all where there is no GPU:")
    for command in (
        f"worker {_served(names)}",
        *([f"retrain {' '.join(to_retrain)}"] if to_retrain else []),
        f"worker {_served(runs)}",
        f"report {' '.join(names)} --out comparison",
    ):
        echo(f"  histsearch {command}")


def _served(studies: Sequence[str]) -> str:
    return " ".join([*(f"--study {study}" for study in studies), "--gpu all --drain"])
