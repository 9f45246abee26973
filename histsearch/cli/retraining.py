"""``histsearch retrain`` and ``histsearch report``: from a finished search to its figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import (
    StorageOption,
    StudyArgument,
    open_storage,
    workers_hint,
)
from histsearch.cli.output import echo, print_table, table
from histsearch.exceptions import HistsearchError
from histsearch.wording import counted

if TYPE_CHECKING:
    from histsearch.reports.report import Report


def retrain(
    study: StudyArgument,
    top: Annotated[int, typer.Option(help="Retrain the best TOP configurations.")] = 1,
    seeds: Annotated[int, typer.Option(help="Runs of each configuration.")] = 3,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Also retrain the first configuration of the search, for as many epochs as the "
            "best one, unless it is among the best itself.",
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the new study [default: STUDY-retrain]")
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Queue the best configurations for retraining on the full training half.

    They form a study of their own, whose trials workers pull like any others; each is tested on
    the test classes once, at its end. A configuration is trained for as many epochs as it was at
    its best after in the search, by the mean curve of its completed trials.
    """
    from histsearch.studies.catalog import find_study
    from histsearch.studies.retraining import create_retraining
    from histsearch.studies.trial_record import BASELINE, EPOCHS, ROLE

    search = find_study(open_storage(storage), study)
    retraining = create_retraining(search, name=name, top=top, seeds=seeds, baseline=baseline)
    runs = [trial.user_attrs for trial in retraining.trials()]
    epochs = ", ".join(dict.fromkeys(str(run[EPOCHS]) for run in runs))
    echo(
        f'created study "{retraining.name}": {counted(len(runs), "trial")} of '
        f"{counted(epochs, 'epoch')}"
    )
    if baseline and all(run[ROLE] != BASELINE for run in runs):
        echo("note: the baseline is among the best configurations itself")
    if not search.is_finished:
        echo(f'note: "{study}" has not finished yet; its best trial may still change')
    echo(workers_hint(retraining.name))


def report(
    study: StudyArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for report.json and report.md.", file_okay=False)
    ],
    storage: StorageOption = None,
) -> None:
    """Write the report of a search and its retrainings, and print its result table."""
    from histsearch.reports.collect import build_report, write_report

    report = build_report(open_storage(storage), study)
    try:
        paths = write_report(report, out)
    except OSError as error:
        raise HistsearchError(
            f"can't write to {out} ({error.strerror}); give another --out"
        ) from error
    _print_results(report)
    echo("wrote " + " and ".join(str(path) for path in paths))


def _print_results(report: "Report") -> None:
    from histsearch.reports.markdown import configuration_text, gain_sentence, percent

    best = report.best
    echo(f"{report.study}: best of the search is trial {best.number}, validation {best}")
    if report.on_test_classes:
        echo(f"warning: selected on the {report.selection}", err=True)
    if report.unfinished_retrainings:
        echo(f"still running: {', '.join(report.unfinished_retrainings)}")
    for failure in report.failed_runs:
        echo(f"without a figure: {failure}", err=True)
    if not (report.retrained or report.unfinished_retrainings or report.failed_runs):
        echo(f"not retrained yet: histsearch retrain {report.study}, then workers")
    if not report.retrained:
        return
    for one in report.retrained:
        echo(f"{one.label}: {configuration_text(one.parameters)}; {counted(one.epochs, 'epoch')}")
    echo("on the test classes, in percent, mean ± 95% interval over n seeds:")
    columns = [f"{one.label}, n = {len(one.recall_at_1)}" for one in report.retrained]
    rows = [
        (f"R@{k}", *(percent(one.recall[k]) for one in report.retrained))
        for k in report.retrained[0].recall
    ]
    print_table(table(("", *columns), rows, gap=3))
    if report.gain_over_baseline is not None:
        echo(gain_sentence(report.gain_over_baseline))
