"""``histsearch worker``: pull trials and train them."""

import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.device import (
    DeviceOption,
    ThreadsOption,
    named_gpus,
    pin,
    usual_loader_processes,
    usual_threads,
)
from histsearch.cli.logs import LogFormat, log_to_stderr
from histsearch.cli.options import (
    CheckpointsOption,
    DataOption,
    LogFormatOption,
    StorageOption,
    open_to_create,
)
from histsearch.cli.output import echo_error
from histsearch.exceptions import DeviceError, HistsearchError, StorageError
from histsearch.folders import checkpoint_location, data_folder
from histsearch.processes import end_at_once

if TYPE_CHECKING:
    from histsearch.workers.gpu import Gpu
    from histsearch.workers.stop_request import StopRequest

log = logging.getLogger(__name__)

# Tells a worker that it is a supervisor's, and not to become one itself.
_SUPERVISED_VARIABLE = "HISTSEARCH_SUPERVISED"


def worker(
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            metavar="GPU[,GPU...]|all",
            help="GPU to use, by nvidia-smi's index or by UUID; several, or all: one process each.",
        ),
    ] = None,
    device: DeviceOption = None,
    share: Annotated[
        bool, typer.Option("--share", help="Use the GPU beside other workers with --share.")
    ] = False,
    study: Annotated[
        list[str] | None,
        typer.Option("--study", help="Study to serve, may be repeated [default: all, fairly]"),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left, instead of waiting.")
    ] = False,
    data: DataOption = None,
    checkpoints: CheckpointsOption = None,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=1, metavar="EPOCHS", help="Epochs from one saved state of a trial to the next."
        ),
    ] = 1,
    heartbeat: Annotated[
        float,
        typer.Option(
            min=0.05,
            metavar="SECONDS",
            help="Time between two signs of life. After six of them missed, others take the trial "
            "over.",
        ),
    ] = 10.0,
    database_patience: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the database may be away before the worker saves its trial and stops.",
        ),
    ] = 3600.0,
    threads: ThreadsOption = None,
    log_format: LogFormatOption = LogFormat.text,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Serve Prometheus metrics on this port; the second GPU's on the next one, and so "
            "on [default: off]",
        ),
    ] = None,
    metrics_address: Annotated[
        str, typer.Option(help="Address that the metrics are served on.")
    ] = "127.0.0.1",
    storage: StorageOption = None,
) -> None:
    """Pull trials from studies and train them, until stopped.

    Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 saves the trial where it stands, returns it to the queue and
    ends the worker, within ten seconds; with exit code 75 if it left work behind, else with 0. A
    GPU's worker that dies, or loses its GPU, is started again.
    """
    gpus = named_gpus(gpu, device)
    if share and not gpus:
        raise DeviceError("found --share with --device cpu, allowed: with --gpu")
    request = _Request(
        share=share,
        studies=tuple(study or ()),
        drain=drain,
        data=data,
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
        heartbeat=heartbeat,
        database_patience=database_patience,
        threads=threads,
        log_format=log_format,
        metrics_port=metrics_port,
        metrics_address=metrics_address,
        storage=storage,
    )
    if gpus and _SUPERVISED_VARIABLE not in os.environ:
        sys.exit(_supervise(gpus, request))
    code = _serve(gpus[0] if gpus else None, request)
    logging.shutdown()
    # A usual exit joins loader processes, which may wait for a disk, and lets CUDA clean up, which
    # may hang after a fault.
    end_at_once(code)


@dataclass(frozen=True)
class _Request:
    """What was asked of a worker besides its device."""

    share: bool
    studies: tuple[str, ...]
    drain: bool
    data: Path | None
    checkpoints: str | None
    checkpoint_every: int
    heartbeat: float
    database_patience: float
    threads: int | None
    log_format: LogFormat
    metrics_port: int | None
    metrics_address: str
    storage: str | None

    def arguments(self, place: int) -> list[str]:
        """The same as command-line arguments, but for the storage, which may hold a password.

        Args:
            place: Of the worker among those of one supervisor; each has a metrics port of its own.
        """
        arguments = [f"--study={name}" for name in self.studies]
        arguments += ["--share"] if self.share else []
        arguments += ["--drain"] if self.drain else []
        arguments += [f"--data={self.data}"] if self.data else []
        arguments += [f"--checkpoints={self.checkpoints}"] if self.checkpoints else []
        arguments += [f"--checkpoint-every={self.checkpoint_every}"]
        arguments += [f"--heartbeat={self.heartbeat}"]
        arguments += [f"--database-patience={self.database_patience}"]
        arguments += [f"--threads={self.threads}"] if self.threads else []
        arguments += [f"--log-format={self.log_format}"]
        if self.metrics_port:
            arguments += [f"--metrics-port={self.metrics_port + place}"]
            arguments += [f"--metrics-address={self.metrics_address}"]
        return arguments


def _supervise(gpus: list["Gpu"], request: _Request) -> int:
    from histsearch.database.storage import STORAGE_VARIABLE, storage_url
    from histsearch.workers.supervisor import supervise

    log_to_stderr("supervisor", request.log_format)
    url = storage_url(request.storage).render_as_string(hide_password=False)
    return supervise(
        gpus,
        lambda gpu: request.arguments(gpus.index(gpu)),
        {STORAGE_VARIABLE: url, _SUPERVISED_VARIABLE: "1"},
    )


def _serve(gpu: "Gpu | None", request: _Request) -> int:
    """Become the worker of one device: listen for signals and pin first, then import torch."""
    from histsearch.workers import exit_codes
    from histsearch.workers.stop_request import StopRequest

    stop = StopRequest()
    stop.listen()
    device = pin(gpu)
    name = f"{socket.gethostname()}-{f'gpu{gpu.index}' if gpu else 'cpu'}-{os.getpid()}"
    log_to_stderr(name, request.log_format)
    if gpu is not None:
        from histsearch.workers.gpu_lock import hold_gpu

        hold_gpu(gpu, share=request.share)
    try:
        return _work(name, device, gpu, request, stop)
    except HistsearchError as error:
        if request.log_format == LogFormat.text:
            echo_error(error)
        else:
            log.error("%s", error)  # where lines are read by a program, the last one is no other
        return exit_codes.USER_ERROR


def _work(name: str, device: str, gpu: "Gpu | None", request: _Request, stop: "StopRequest") -> int:
    import torch

    from histsearch.database.storage import wait_for_answers
    from histsearch.workers import exit_codes
    from histsearch.workers.database_wait import wait_for_database
    from histsearch.workers.metrics import serve
    from histsearch.workers.missing_resources import LackError
    from histsearch.workers.provenance import device_name
    from histsearch.workers.registry import Identity
    from histsearch.workers.worker import DeviceFaultError, Worker, WorkerSettings

    if request.metrics_port:
        serve(request.metrics_address, request.metrics_port)
    wait_for_answers(should_hurry=stop)
    settings = WorkerSettings(
        identity=Identity(
            name=name,
            host=socket.gethostname(),
            process_id=os.getpid(),
            device=device_name(torch.device(device)),
            gpu=str(gpu.index) if gpu else None,
        ),
        study_names=request.studies,
        drain=request.drain,
        data_dir=data_folder(request.data),
        checkpoints=checkpoint_location(request.checkpoints),
        checkpoint_every=request.checkpoint_every,
        heartbeat_seconds=request.heartbeat,
        patience_seconds=request.database_patience,
        device=device,
        threads=request.threads or usual_threads(gpu),
        loader_processes=usual_loader_processes(gpu),
    )
    try:
        storage = wait_for_database(
            lambda: open_to_create(request.storage), request.database_patience, stop
        )
        if storage is not None:
            Worker(storage, settings, stop).run()
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
