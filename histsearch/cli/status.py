"""``histsearch status``: one screen of studies and workers."""

import json
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.narrow_table import narrow_table
from histsearch.cli.options import StorageOption, open_to_read
from histsearch.cli.output import console, echo_data, print_table, table, text
from histsearch.exceptions import HistsearchError, StorageError
from histsearch.wording import duration_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histsearch.database.storage import Storage
    from histsearch.reports.status import Status, StudyStatus
    from histsearch.reports.time_left import TimeLeft
    from histsearch.workers.registry import RegisteredWorker

_STUDY_COLUMNS = (
    *("study", "state", "trials", "running", "paused", "failed", "retries", "epochs"),
    *("winner", "hours", "ETA"),
)
_WORKER_COLUMNS = (
    *("worker", "host", "device", "does", "epoch", "images/s", "memory", "heartbeat"),
)
# Where a watched screen is too narrow for all: columns to leave out, from the first on, and others
# that take several lines a cell, with the fewest cells that each needs.
_LESS_OF_STUDIES = ("retries", "failed", "paused", "hours", "running", "winner", "state")
_LESS_OF_WORKERS = ("host", "device", "memory", "images/s", "epoch")
_BROKEN_OF_STUDIES = {"study": 20, "ETA": 16}
_BROKEN_OF_WORKERS = {"worker": 20, "does": 24}
_REFRESH_SECONDS = 2.0


def status(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Refresh until Ctrl-C, with the curves of the trials that run."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: StorageOption = None,
) -> None:
    """Show all studies with their progress, and all workers with what they do.

    The ETA is how long a study still takes with its workers, probably and at most, or earlier where
    its winner may be decided. Epochs are those trained, of those that are expected. A worker that
    died is shown for a day; its trial goes back to the queue by itself.
    """
    from histsearch.reports.status import take_status

    if watch and as_json:
        raise HistsearchError("--watch and --json can't be combined; give one of them")
    opened = open_to_read(storage)
    if as_json:
        echo_data(json.dumps(take_status(opened).to_json(), indent=2))
    elif watch:
        _watch(opened)
    else:
        print_table(_screen(take_status(opened)))


def _watch(storage: "Storage") -> None:
    from rich.live import Live

    shown = console()
    try:
        # Standard output stays as it is: its encoding says how curves are drawn.
        with Live(
            _look(storage, shown.width),
            console=shown,
            auto_refresh=False,
            screen=True,
            redirect_stdout=False,
        ) as live:
            while True:
                time.sleep(_REFRESH_SECONDS)
                live.update(_look(storage, shown.width), refresh=True)
    except KeyboardInterrupt:
        return


def _look(storage: "Storage", width: int) -> "RenderableType":
    from histsearch.reports.status import take_status

    try:
        return _with_curves(take_status(storage), storage, width)
    except StorageError as error:  # it may come back
        return text(str(error))


def _with_curves(taken: "Status", storage: "Storage", width: int) -> "RenderableType":
    """The screen, with the curves of the trials that run below it."""
    from rich.console import Group

    from histsearch.cli.curve_table import curve_tables
    from histsearch.studies.running_curves import running_curves

    objectives = {one.name: one.objective for one in taken.studies if one.trials.get("RUNNING")}
    curves = running_curves(storage, list(objectives))
    return Group(_screen(taken, width), *curve_tables(curves, objectives, width))


def _screen(taken: "Status", width: int | None = None) -> "RenderableType":
    """Studies and workers, all there is to say of them, or as much as ``width`` cells take."""
    from rich.console import Group

    studies: RenderableType = "no studies yet; create one with: histsearch study create demo"
    if taken.studies:
        studies = _study_table(taken.studies, width)
    workers: RenderableType = "no workers; start one with: histsearch worker --gpu 0"
    if taken.workers:
        workers = _worker_table(taken.workers, width)
    left = [
        text(f"{study.name} is left by workers on {host}: {reason}")
        for study in taken.studies
        for host, reason in study.left_by.items()
    ]
    leaders = [
        text(f"{study.name}'s leader: {study.leader}")
        for study in taken.studies
        if study.leader is not None and study.state != "finished"
    ]
    left_out = [text(str(one)) for one in (*taken.half_created, *taken.unreadable.values())]
    return Group(studies, *leaders, *left, *left_out, "", workers)


def _study_table(studies: Sequence["StudyStatus"], width: int | None) -> "RenderableType":
    rows = [_study_row(study, brief=width is not None) for study in studies]
    if width is None:
        return table(_STUDY_COLUMNS, rows)
    return narrow_table(
        _STUDY_COLUMNS, rows, width, less_first=_LESS_OF_STUDIES, broken=_BROKEN_OF_STUDIES
    )


def _worker_table(workers: Sequence["RegisteredWorker"], width: int | None) -> "RenderableType":
    rows = list(map(_worker_row, workers))
    if width is None:
        return table(_WORKER_COLUMNS, rows)
    return narrow_table(
        _WORKER_COLUMNS, rows, width, less_first=_LESS_OF_WORKERS, broken=_BROKEN_OF_WORKERS
    )


def _study_row(study: "StudyStatus", *, brief: bool) -> tuple[str, ...]:
    from histsearch.reports.cost import hours_text

    hours = hours_text(study.hours, study.hours_unit)
    return (
        study.name,
        study.state,
        f"{study.finished}/{study.budget}",
        str(study.trials.get("RUNNING", 0)),
        str(study.trials.get("PAUSED", 0)),
        str(study.trials.get("FAIL", 0)),
        str(study.retries),
        f"{study.epochs.trained:,}/{study.epochs.expected:,}",
        "" if study.best is None else f"{study.objective} {study.best:.1%}",
        re.sub("[- ]hours?$", " h", hours) if brief else hours,
        _eta(study.time_left, may_end_earlier=study.may_end_earlier),
    )


def _eta(left: "TimeLeft | None", *, may_end_earlier: bool) -> str:
    if left is None:
        return ""
    probable, at_most = map(duration_text, (left.probable_seconds, left.at_most_seconds))
    earlier = ", or earlier" if may_end_earlier else ""
    return (probable if probable == at_most else f"{probable}, at most {at_most}") + earlier


def _worker_row(worker: "RegisteredWorker") -> tuple[str, ...]:
    identity, activity = worker.identity, worker.activity
    trial = "" if activity.trial is None else f" {activity.study} #{activity.trial}"
    gpu = "" if identity.gpu is None else f"{identity.gpu}: "
    slots = "" if identity.slots == 1 else f", one of {identity.slots} slots"
    return (
        identity.name,
        identity.host,
        f"{gpu}{identity.device}{slots}",
        ("gone, was " if worker.gone else "") + activity.word + trial,
        "" if activity.epoch is None else f"{activity.epoch}/{activity.epochs}",
        "" if activity.images_per_second is None else f"{activity.images_per_second:.0f}",
        "" if activity.memory_mib is None else f"{activity.memory_mib} MiB",
        f"{duration_text(worker.silent_seconds)} ago",
    )
