"""``histsearch worker``: pull trials and train them."""

import logging
import os
import socket
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.cli.options import DataOption, StorageOption, open_storage
from histsearch.exceptions import DeviceError

if TYPE_CHECKING:
    from histsearch.workers.gpu import Gpu

DATA_VARIABLE = "HISTSEARCH_DATA"
_MOST_LOADER_PROCESSES = 8
_GPU_THREADS = 2


class DeviceName(StrEnum):
    """Devices that ``--device`` names; GPUs are named by ``--gpu``."""

    cpu = "cpu"


def worker(
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            metavar="GPU[,GPU...]|all",
            help="GPU to use, by nvidia-smi's index or by UUID; several, or all: one process each.",
        ),
    ] = None,
    device: Annotated[
        DeviceName | None, typer.Option("--device", help="Work without a GPU.")
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option("--study", help="Study to serve, may be repeated [default: all, fairly]"),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left, instead of waiting.")
    ] = False,
    data: DataOption = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of torch [default: 1 with --device cpu, else 2]"),
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Pull trials from studies and train them, until stopped.

    Ctrl-C or SIGTERM ends it within moments and returns its trial to the queue.
    """
    if (gpu is None) == (device is None):
        raise DeviceError("name the device: either --gpu INDEX (or all), or --device cpu")
    request = _Request(tuple(study or ()), drain, data, threads, storage)
    gpus = _gpus(gpu)
    if len(gpus) > 1:
        sys.exit(_supervise(gpus, request))
    _serve(gpus[0] if gpus else None, request)


@dataclass(frozen=True)
class _Request:
    """What was asked of a worker besides its device."""

    studies: tuple[str, ...]
    drain: bool
    data: Path | None
    threads: int | None
    storage: str | None

    def arguments(self) -> list[str]:
        """The same as command-line arguments, but for the storage, which may hold a password."""
        arguments = [f"--study={name}" for name in self.studies]
        arguments += ["--drain"] if self.drain else []
        arguments += [f"--data={self.data}"] if self.data else []
        arguments += [f"--threads={self.threads}"] if self.threads else []
        return arguments


def _gpus(selection: str | None) -> list["Gpu"]:
    if selection is None:
        return []
    from histsearch.workers.gpu import select_gpus

    return select_gpus(selection)


def _supervise(gpus: list["Gpu"], request: _Request) -> int:
    from histsearch.studies.storage import STORAGE_VARIABLE, storage_url
    from histsearch.workers.supervisor import supervise

    _log_to_stderr("supervisor")
    url = storage_url(request.storage).render_as_string(hide_password=False)
    return supervise(gpus, request.arguments(), {STORAGE_VARIABLE: url})


def _serve(gpu: "Gpu | None", request: _Request) -> None:
    """Become the worker of one device: pin first, listen for signals, then import torch."""
    from histsearch.workers.gpu import hide_gpus, pin_to_gpu
    from histsearch.workers.stop_request import StopRequest

    if gpu is None:
        hide_gpus()
    else:
        pin_to_gpu(gpu)
    stop = StopRequest()
    stop.listen()
    name = f"{socket.gethostname()}-{f'gpu{gpu.index}' if gpu else 'cpu'}-{os.getpid()}"
    _log_to_stderr(name)

    from histsearch.workers.worker import Worker, WorkerSettings

    settings = WorkerSettings(
        name=name,
        study_names=request.studies,
        drain=request.drain,
        data_dir=request.data or _default_data_dir(),
        device="cuda" if gpu else "cpu",
        threads=request.threads or (_GPU_THREADS if gpu else 1),
        loader_processes=_loader_processes() if gpu else 0,
    )
    Worker(open_storage(request.storage), settings, stop).run()


def _loader_processes() -> int:
    """This GPU's share of the machine's cores, for decoding images."""
    from histsearch.workers.gpu import list_gpus

    share = (os.cpu_count() or 1) // len(list_gpus())
    return max(1, min(_MOST_LOADER_PROCESSES, share))


def _default_data_dir() -> Path:
    from histsearch.studies.embedded_postgres import home

    configured = os.environ.get(DATA_VARIABLE)
    return Path(configured) if configured else home() / "data"


def _log_to_stderr(name: str) -> None:
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s {name}  %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("histsearch").setLevel(logging.INFO)
