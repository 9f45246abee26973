"""``histsearch retrain`` and ``histsearch report``: from a finished search to its figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import (
    DataOption,
    StorageOption,
    open_to_change,
    open_to_read,
    workers_hint,
)
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import HistsearchError, StudyError
from histsearch.wording import configuration_text, counted

if TYPE_CHECKING:
    from histsearch.database.storage import Storage
    from histsearch.reports.report import Report
    from histsearch.studies.study import Study


def retrain(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Searches, each retrained alike.")
    ],
    top: Annotated[
        int | None, typer.Option(help="Retrain the best TOP configurations [default: 1]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs of each configuration [default: 5]")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also retrain this [[baseline]] of the space, or with first the search's first "
            "configuration, unless it is among the best itself; may be repeated.",
        ),
    ] = None,
    add_seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Give every configuration of the retraining that is there N further runs, with "
            "new seeds; STUDY is the search or the retraining.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the retraining of one search [default: STUDY-retrain]"),
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Queue the best configurations for retraining on the full training half.

    They form a study of their own, whose trials workers pull like any others; each is tested on
    the test classes once, at its end. Each configuration is trained for as many epochs as its mean
    curve rises, by the model of all curves of the search, and along its plateau; a baseline for as
    many as the winner, or as its table in the space says. Of several searches all are retrained
    or none.
    """
    from histsearch.studies.catalog import find_study
    from histsearch.studies.retraining import USUAL_SEEDS, create_retraining, create_retrainings

    names = list(dict.fromkeys(studies))
    if name is not None and len(names) > 1:
        raise StudyError(
            f"found --name {name} with {len(names)} searches, allowed: with one; leave it out"
        )
    opened = open_to_change(storage)
    if add_seeds is not None:
        if baseline or (top, seeds) != (None, None):
            raise StudyError(
                "found --add-seeds with --top, --seeds or --baseline, which are for a new "
                "retraining; leave them out"
            )
        _add_seeds(opened, names, name, add_seeds)
        return
    searches = [find_study(opened, one) for one in names]
    top, seeds = 1 if top is None else top, USUAL_SEEDS if seeds is None else seeds
    if name is None:
        made = create_retrainings(searches, top=top, seeds=seeds, baselines=baseline or ())
    else:
        (search,) = searches
        made = [
            create_retraining(search, name=name, top=top, seeds=seeds, baselines=baseline or ())
        ]
    for search, retraining in zip(searches, made, strict=True):
        _print_created(search, retraining)
    echo(workers_hint(*(retraining.name for retraining in made)))


def _print_created(search: "Study", retraining: "Study") -> None:
    from histsearch.studies.chosen_configurations import chosen_configurations

    chosen = chosen_configurations(retraining)
    lengths = ", ".join(f"{one.label} for {counted(one.epochs, 'epoch')}" for one in chosen)
    echo(f'created study "{retraining.name}": {counted(retraining.count(), "trial")}, {lengths}')
    for rank, one in enumerate(chosen):
        for name in one.origin.also:
            itself = "the winner" if rank == 0 else one.origin._replace(also=()).label
            echo(f'note: {itself} is the baseline "{name}", so it is retrained once')
    if not search.is_finished:
        echo(f'note: "{search.name}" has not finished yet; its winner may still change')
    _warn(search, retraining)


def _add_seeds(storage: "Storage", names: Sequence[str], name: str | None, number: int) -> None:
    from histsearch.studies.retraining import find_retraining
    from histsearch.studies.retraining_seeds import add_seeds, check_seeds

    found = [find_retraining(storage, one, name) for one in names]
    by_name = {retraining.name: (search, retraining) for search, retraining in found}
    for _, retraining in by_name.values():
        check_seeds(retraining, number)
    for search, retraining in by_name.values():
        seeds = add_seeds(search, retraining, number)
        added = f"seed {seeds[0]}" if number == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
        echo(
            f'added {added} of each configuration to "{retraining.name}", now '
            f"{counted(retraining.count(), 'trial')}"
        )
        _warn(search, retraining)
    echo(workers_hint(*by_name))


def _warn(search: "Study", retraining: "Study") -> None:
    from histsearch.studies.retraining_warnings import retraining_warnings

    for warning in retraining_warnings(search, retraining):
        echo(f"warning: {warning}", err=True)


def report(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY...", help="Searches; a retraining stands for its search."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for report.html, report.json, tables and figures; an earlier report there "
            "is replaced.",
            file_okay=False,
        ),
    ],
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Write the report of searches and their retrainings, and print their result tables.

    Several searches stand in one report, such as those of all data sets and backbones. It shows
    thumbnails where --data has the images.
    """
    from histsearch.folders import data_folder
    from histsearch.reports.document.contents import write_report
    from histsearch.reports.document.gathered import gather

    gathered = gather(open_to_read(storage), studies)
    try:
        paths = write_report(gathered, out, data_folder(data))
    except OSError as error:
        raise HistsearchError(
            f"can't write to {out} ({error.strerror}); give another --out"
        ) from error
    for one in gathered.searches:
        _print_results(one.report)
    for comparison in gathered.across:
        echo(comparison.sentence)
    for reason in gathered.apart:
        echo(reason)
    for ranking in gathered.rankings:
        for sentence in ranking.sentences:
            echo(sentence)
    echo("wrote " + " and ".join(str(path) for path in paths))


def _print_results(report: "Report") -> None:
    best = report.best
    if best is None:
        echo(f"{report.study}: no completed trial yet")
    else:
        judge = "test" if report.on_test_classes else "validation"
        echo(f"{report.study}: best of the search is trial {best.number}, {judge} {best}")
    if report.baselines_of_winner:
        names = " and ".join(f'"{name}"' for name in report.baselines_of_winner)
        echo(f"The winner is the baseline {names}.")
    if report.on_test_classes:
        echo(f"warning: selected on the {report.selection}", err=True)
    for warning in report.warnings:
        echo(f"warning: {warning}", err=True)
    if report.unfinished_retrainings:
        echo(f"still running: {', '.join(report.unfinished_retrainings)}")
    for half in report.half_created_retrainings:
        echo(f"left out: {half}", err=True)
    for warning in report.retraining_warnings:
        echo(f"warning: {warning}", err=True)
    for failure in report.failed_runs:
        echo(f"without a figure: {failure}", err=True)
    if best and not (report.retrained or report.unfinished_retrainings or report.failed_runs):
        echo(f"not retrained yet: histsearch retrain {report.study}, then workers")
    if report.retrained:
        _print_retrained(report)


def _print_retrained(report: "Report") -> None:
    from histsearch.reports.document.tables import percent

    for one in report.retrained:
        echo(f"{one.label}: {configuration_text(one.parameters)}; {counted(one.epochs, 'epoch')}")
    echo("on the test classes, in percent, mean ± 95% interval over n seeds:")
    columns = [f"{one.label}, n = {len(one.scores)}" for one in report.retrained]
    # Runs of an earlier version have fewer figures.
    labels = dict.fromkeys(label for one in report.retrained for label in one.figures)
    figures = [one.figures for one in report.retrained]
    rows = [
        (label, *(percent(known[label]) if label in known else "" for known in figures))
        for label in labels
    ]
    print_table(table(("", *columns), rows, gap=3))
    for comparison in report.comparisons:
        echo(comparison.sentence)
    for model in report.models:
        echo(f"model {model}")
