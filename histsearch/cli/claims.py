"""``histsearch claims``: the paper's claims of HIST, run and judged."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import override

from histsearch.cli.device import (
    DataOnGpuOption,
    DeviceOption,
    GpusOption,
    LoadersOption,
    SlotsOption,
    ThreadsOption,
    named_gpus,
)
from histsearch.cli.logs import LogFormat
from histsearch.cli.options import (
    USUAL_IMAGE_CACHE_LIMIT,
    CheckpointsOption,
    DataOption,
    ImageCacheLimitOption,
    ImageCacheOption,
    LogFormatOption,
    StorageOption,
    open_to_create,
    open_to_read,
    repeated_arguments,
)
from histsearch.cli.output import echo
from histsearch.cli.worker import WorkerOptions, supervise_workers
from histsearch.exceptions import HistsearchError
from histsearch.sharing import make_folder
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.wording import counted

if TYPE_CHECKING:
    from histsearch.reports.claims.folder import ClaimsFolder
    from histsearch.studies.searches_of_spaces import SearchOfSpace
    from histsearch.workers.gpu import Gpu

_OF_THIS_COMMAND = {"folder", "out", "run", "storage"}


@dataclass(frozen=True)
class _ClaimsWorkerOptions(WorkerOptions):
    """The options of a worker that serves the studies of the claims until they are done."""

    @override
    def arguments(self, place: int) -> list[str]:
        given = repeated_arguments(self.context, but={"gpu", *_OF_THIS_COMMAND})
        return [*given, "--drain", *(f"--study={name}" for name in self.study_names or ())]


def claims(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for claims.html, claims.json, tables and figures; an earlier report of "
            "claims there is replaced.",
            file_okay=False,
        ),
    ],
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="The studies' spaces: claims, claims/small, or a folder with files of the same "
            "names.",
        ),
    ] = "claims",
    run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Create the studies that are missing, and train them with --gpu or --device cpu "
            "until they are done. Ctrl-C stops it as a worker; the same command goes on.",
        ),
    ] = False,
    gpu: GpusOption = None,
    device: DeviceOption = None,
    slots: SlotsOption = 1,
    data_dir: DataOption = None,
    checkpoints: CheckpointsOption = None,
    threads: ThreadsOption = None,
    loaders: LoadersOption = None,
    image_cache: ImageCacheOption = None,
    image_cache_limit: ImageCacheLimitOption = USUAL_IMAGE_CACHE_LIMIT,
    data_on_gpu: DataOnGpuOption = DataOnGpu.auto,
    log_format: LogFormatOption = LogFormat.text,
    storage: StorageOption = None,
) -> None:
    """Judge the five claims of HIST that Yuan & Le-Phuoc (2023) tested, by several seeds a point.

    Reads the studies of a folder of spaces, or with --run trains them first, and writes figures,
    tables, and for each claim whether it is supported, not supported or undecided.
    """
    from histsearch.reports.claims.folder import read_claims_folder

    spaces = read_claims_folder(folder)
    if not run:
        _refuse_workers_options(context)
    gpus = named_gpus(gpu, device) if run else []
    _make(out)
    if run:
        options = _ClaimsWorkerOptions(
            context=context,
            gpu=gpu,
            device=device,
            slots=slots,
            study_names=[space.name for space in spaces.spaces.values()],
            drain=True,
            data_dir=data_dir,
            checkpoints=checkpoints,
            threads=threads,
            loaders=loaders,
            log_format=log_format,
            image_cache=image_cache,
            image_cache_limit=image_cache_limit,
            data_on_gpu=data_on_gpu,
            storage=storage,
        )
        _run(spaces, gpus, options)
    _report(spaces, out, storage)


def _refuse_workers_options(context: typer.Context) -> None:
    """Refuse what a worker alone heeds, where none is started."""
    given = repeated_arguments(context, but=_OF_THIS_COMMAND)
    if given:
        names = ", ".join(dict.fromkeys(one.partition("=")[0] for one in given))
        raise HistsearchError(
            f"found {names} without --run, allowed: with it; without, the command reads the "
            "studies that are there"
        )


def _make(folder: Path) -> None:
    """Make the folder of the report, before anything is trained for it."""
    try:
        make_folder(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> HistsearchError:
    return HistsearchError(f"can't write to {folder} ({error.strerror}); give another --out")


def _run(spaces: "ClaimsFolder", gpus: Sequence["Gpu"], options: WorkerOptions) -> None:
    """Train what is missing; what is to be refused is refused before a study is created."""
    from histsearch.studies.searches_of_spaces import create_missing, plan_searches

    planned = plan_searches(spaces.spaces.values())
    storage = open_to_create(options.storage)
    # A run that failed may have been enqueued again, which raises the budget.
    _print_studies(create_missing(storage, planned, may_run_more=True))
    storage.optuna.engine.dispose()  # a supervisor needs no connection
    code = supervise_workers(gpus, options)
    if code:
        sys.exit(code)


def _print_studies(studies: Sequence["SearchOfSpace"]) -> None:
    for study, is_new in studies:
        echo(f"{study.name}: {'created' if is_new else 'exists'}, {counted(study.budget, 'run')}")


def _report(spaces: "ClaimsFolder", out: Path, storage: str | None) -> None:
    from histsearch.reports.claims.claims_report import build_claims_report
    from histsearch.reports.claims.contents import write_claims_report
    from histsearch.reports.claims.verdicts_section import verdict_sentence

    report = build_claims_report(open_to_read(storage), spaces)
    try:
        paths = write_claims_report(report, out)
    except OSError as error:
        raise _unwritable(out, error) from error
    for one in report.claims:
        echo(f"{verdict_sentence(one)} The paper: {one.published}.")
    echo("wrote " + " and ".join(str(path) for path in paths))
