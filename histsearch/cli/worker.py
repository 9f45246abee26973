"""``histsearch worker``: pull trials and train them."""

import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histsearch.cli.device import (
    DataOnGpuOption,
    DeviceOption,
    GpusOption,
    LoadersOption,
    SlotsOption,
    ThreadsOption,
    loader_processes,
    named_gpus,
    pin,
    usual_threads,
)
from histsearch.cli.logs import LogFormat, log_to_stderr
from histsearch.cli.options import (
    USUAL_IMAGE_CACHE_LIMIT,
    CheckpointsOption,
    DataOption,
    ImageCacheLimitOption,
    ImageCacheOption,
    LogFormatOption,
    StorageOption,
    named_image_cache,
    open_to_create,
    open_to_read,
    repeated_arguments,
)
from histsearch.cli.output import echo_error
from histsearch.exceptions import DeviceError, HistsearchError, StorageError
from histsearch.folders import checkpoint_location, data_folder
from histsearch.processes import end_at_once
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.progress_display import Phase, ProgressDisplay, showing_nothing_after

if TYPE_CHECKING:
    from histsearch.workers.gpu import Gpu
    from histsearch.workers.settings import WorkerSettings
    from histsearch.workers.slots import Slot
    from histsearch.workers.stop_request import StopRequest

log = logging.getLogger(__name__)


def _refuse_share(given: bool) -> bool:
    if given:
        raise DeviceError(
            "found --share, which --slots has replaced; start one worker with --slots N to run N "
            "trials side by side on a GPU"
        )
    return given


@dataclass(frozen=True)
class WorkerOptions:
    """Pull trials from studies and train them, until stopped.

    Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 saves the trial where it stands, returns it to the queue and
    ends the worker, within ten seconds; with exit code 75 if it left work behind, else with 0. A
    GPU's worker, or a slot's, that dies, or loses its GPU, is started again.
    """

    # An option with the name of one of WorkerSettings' fields becomes that setting.

    context: typer.Context
    gpu: GpusOption = None
    device: DeviceOption = None
    slots: SlotsOption = 1
    share: Annotated[
        bool, typer.Option("--share", hidden=True, callback=_refuse_share, is_eager=True)
    ] = False
    study_names: Annotated[
        list[str] | None,
        typer.Option("--study", help="Study to serve, may be repeated [default: all, fairly]"),
    ] = None
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left, instead of waiting.")
    ] = False
    data_dir: DataOption = None
    checkpoints: CheckpointsOption = None
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=1, metavar="EPOCHS", help="Epochs from one saved state of a trial to the next."
        ),
    ] = 1
    heartbeat_seconds: Annotated[
        float,
        typer.Option(
            "--heartbeat",
            min=0.05,
            metavar="SECONDS",
            help="Time between two signs of life. After six of them missed, others take the trial "
            "over.",
        ),
    ] = 10.0
    patience_seconds: Annotated[
        float,
        typer.Option(
            "--database-patience",
            min=0,
            metavar="SECONDS",
            help="How long the database may be away before the worker saves its trial and stops.",
        ),
    ] = 3600.0
    threads: ThreadsOption = None
    loaders: LoadersOption = None
    log_format: LogFormatOption = LogFormat.text
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Serve Prometheus metrics on this port; those of the second GPU, or slot, on the "
            "next one, and so on [default: off]",
        ),
    ] = None
    metrics_address: Annotated[
        str, typer.Option(help="Address that the metrics are served on.")
    ] = "127.0.0.1"
    image_cache: ImageCacheOption = None
    image_cache_limit: ImageCacheLimitOption = USUAL_IMAGE_CACHE_LIMIT
    data_on_gpu: DataOnGpuOption = DataOnGpu.auto
    storage: StorageOption = None

    def arguments(self, place: int) -> list[str]:
        """The same command line for one of a supervisor's workers, without its GPU.

        The storage isn't on it either, as it may hold a password.

        Args:
            place: Of the worker among those of one supervisor; each has a metrics port of its own.
        """
        arguments = repeated_arguments(self.context, but={"gpu", "storage", "metrics_port"})
        if self.metrics_port:
            arguments.append(f"--metrics-port={self.metrics_port + place}")
        return arguments


@wraps(WorkerOptions, updated=())
def worker(**given: Any) -> None:
    """The command, whose options are the fields of `WorkerOptions`."""
    options = WorkerOptions(**given)
    gpus = named_gpus(options.gpu, options.device)
    from histsearch.workers.slots import Slot

    slot = Slot.of_this_process()
    if slot is None and (gpus or options.slots > 1):
        sys.exit(supervise_workers(gpus, options))
    code = _serve(gpus[0] if gpus else None, slot, options)
    logging.shutdown()
    # A usual exit joins loader processes, which may wait for a disk, and lets CUDA clean up, which
    # may hang after a fault.
    end_at_once(code)


def supervise_workers(gpus: Sequence["Gpu"], options: WorkerOptions) -> int:
    """Keep workers with these options running on the slots of some GPUs until all have ended.

    Args:
        gpus: The GPUs; none for the processor.
        options: What the workers are started with.

    Returns:
        The exit code, as `supervise` has it.
    """
    from histsearch.database.storage import STORAGE_VARIABLE, storage_url
    from histsearch.workers import exit_codes
    from histsearch.workers.mps import how_slots_compute
    from histsearch.workers.supervisor import supervise

    log_to_stderr("supervisor", options.log_format)
    try:
        _check_studies(options)
        if options.slots > 1:
            for gpu in gpus:
                log.info("%s", how_slots_compute(gpu, options.slots))
        url = storage_url(options.storage).render_as_string(hide_password=False)
        return supervise(gpus or [None], options.slots, options.arguments, {STORAGE_VARIABLE: url})
    except HistsearchError as error:
        _say(error, options)
        return exit_codes.USER_ERROR


def _check_studies(options: WorkerOptions) -> None:
    """Make sure that the studies to be served are there, before any worker starts.

    Raises:
        StudyError: One isn't, or is another version's.
    """
    if not options.study_names:
        return
    from histsearch.studies.catalog import find_study

    # Workers wait for a database that is away, and bring an older one up to date.
    with suppress(StorageError):
        storage = open_to_read(options.storage)
        for name in options.study_names:
            find_study(storage, name).definition.check_version(name)
        storage.optuna.engine.dispose()  # a supervisor needs no connection


def _say(error: HistsearchError, options: WorkerOptions) -> None:
    if options.log_format == LogFormat.text:
        echo_error(error)
    else:
        log.error("%s", error)  # where lines are read by a program, the last one is no other


def _serve(gpu: "Gpu | None", slot: "Slot | None", options: WorkerOptions) -> int:
    """Become the worker of one device: listen for signals and pin first, then import torch."""
    from histsearch.workers import exit_codes
    from histsearch.workers.stop_request import StopRequest

    stop = StopRequest()
    stop.listen()
    if slot is not None:
        slot.take()
    device = pin(gpu)
    place = f"{f'gpu{gpu.index}' if gpu else 'cpu'}{slot.suffix if slot else ''}"
    name = f"{socket.gethostname()}-{place}-{os.getpid()}"
    shares_log = slot is not None and slot.shares_log
    display = log_to_stderr(name, options.log_format, shares_log=shares_log)
    display.begin(Phase("starting", is_told=True))
    try:
        with showing_nothing_after(display):
            return _work(name, device, gpu, slot, options, stop, display)
    except HistsearchError as error:
        _say(error, options)
        return exit_codes.USER_ERROR


def _work(
    name: str,
    device: str,
    gpu: "Gpu | None",
    slot: "Slot | None",
    options: WorkerOptions,
    stop: "StopRequest",
    display: ProgressDisplay,
) -> int:
    from histsearch.workers import exit_codes
    from histsearch.workers.database_wait import wait_for_database
    from histsearch.workers.metrics import serve
    from histsearch.workers.missing_resources import LackError
    from histsearch.workers.worker import DeviceFaultError, run_worker

    if options.metrics_port:
        serve(options.metrics_address, options.metrics_port)
    settings = replace(_settings(name, device, gpu, slot, options), display=display)
    display.begin(Phase("opening the database", is_told=True))
    try:
        storage = wait_for_database(
            lambda: open_to_create(options.storage, should_hurry=stop),
            settings.patience_seconds,
            stop,
        )
        if storage is not None:
            run_worker(storage, settings, stop)
    except LackError as error:
        log.error("%s", error)
        return exit_codes.LACK
    except DeviceFaultError as error:
        log.error("the device of this process is lost: %s", error)
        return exit_codes.DEVICE_FAULT
    except StorageError as error:
        if not stop():
            raise
        log.warning("stopped without the database: %s", error)
    return stop.exit_code


def _settings(
    name: str, device: str, gpu: "Gpu | None", slot: "Slot | None", options: WorkerOptions
) -> "WorkerSettings":
    """The options as a worker takes them, those left out filled in."""
    import torch

    from histsearch.workers.provenance import device_name
    from histsearch.workers.registry import Identity
    from histsearch.workers.settings import WorkerSettings

    filled_in = {
        "identity": Identity(
            name=name,
            host=socket.gethostname(),
            process_id=os.getpid(),
            device=device_name(torch.device(device)),
            gpu=str(gpu.index) if gpu else None,
            slots=options.slots,
        ),
        "study_names": tuple(options.study_names or ()),
        "data_dir": data_folder(options.data_dir),
        "checkpoints": checkpoint_location(options.checkpoints),
        "device": device,
        "threads": _threads(gpu, options),
        "loader_processes": loader_processes(options.loaders, gpu, options.slots),
        "slot": slot,
        "image_cache": named_image_cache(options.image_cache, options.image_cache_limit),
    }
    names = {one.name for one in fields(WorkerSettings)}
    chosen = {name: value for name, value in vars(options).items() if name in names}
    return WorkerSettings(**{**chosen, **filled_in})


def _threads(gpu: "Gpu | None", options: WorkerOptions) -> int:
    if options.threads is None:
        return usual_threads(gpu)
    return max(1, options.threads // options.slots)
