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
from histsearch.cli.options import CheckpointsOption, DataOption, StorageOption, open_storage
from histsearch.folders import checkpoint_folder, data_folder

if TYPE_CHECKING:
    from histsearch.workers.gpu import Gpu


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
    study: Annotated[
        list[str] | None,
        typer.Option("--study", help="Study to serve, may be repeated [default: all, fairly]"),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left, instead of waiting.")
    ] = False,
    data: DataOption = None,
    checkpoints: CheckpointsOption = None,
    threads: ThreadsOption = None,
    storage: StorageOption = None,
) -> None:
    """Pull trials from studies and train them, until stopped.

    Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 ends it within moments and returns its trial to the queue.
    """
    gpus = named_gpus(gpu, device)
    request = _Request(tuple(study or ()), drain, data, checkpoints, threads, storage)
    if len(gpus) > 1:
        sys.exit(_supervise(gpus, request))
    _serve(gpus[0] if gpus else None, request)


@dataclass(frozen=True)
class _Request:
    """What was asked of a worker besides its device."""

    studies: tuple[str, ...]
    drain: bool
    data: Path | None
    checkpoints: Path | None
    threads: int | None
    storage: str | None

    def arguments(self) -> list[str]:
        """The same as command-line arguments, but for the storage, which may hold a password."""
        arguments = [f"--study={name}" for name in self.studies]
        arguments += ["--drain"] if self.drain else []
        arguments += [f"--data={self.data}"] if self.data else []
        arguments += [f"--checkpoints={self.checkpoints}"] if self.checkpoints else []
        arguments += [f"--threads={self.threads}"] if self.threads else []
        return arguments


def _supervise(gpus: list["Gpu"], request: _Request) -> int:
    from histsearch.studies.storage import STORAGE_VARIABLE, storage_url
    from histsearch.workers.supervisor import supervise

    log_to_stderr("supervisor")
    url = storage_url(request.storage).render_as_string(hide_password=False)
    return supervise(gpus, request.arguments(), {STORAGE_VARIABLE: url})


def _serve(gpu: "Gpu | None", request: _Request) -> None:
    """Become the worker of one device: pin first, listen for signals, then import torch."""
    from histsearch.workers.stop_request import StopRequest

    device = pin(gpu)
    stop = StopRequest()
    stop.listen()
    name = f"{socket.gethostname()}-{f'gpu{gpu.index}' if gpu else 'cpu'}-{os.getpid()}"
    log_to_stderr(name)

    from histsearch.workers.worker import Worker, WorkerSettings

    settings = WorkerSettings(
        name=name,
        study_names=request.studies,
        drain=request.drain,
        data_dir=data_folder(request.data),
        checkpoint_dir=checkpoint_folder(request.checkpoints),
        device=device,
        threads=request.threads or usual_threads(gpu),
        loader_processes=usual_loader_processes(gpu),
    )
    Worker(open_storage(request.storage), settings, stop).run()


def log_to_stderr(name: str) -> None:
    """Show progress on standard error, each line with the worker's name."""
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s {name}  %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("histsearch").setLevel(logging.INFO)
