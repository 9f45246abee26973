"""The device options of commands that train or embed."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from histsearch.exceptions import DeviceError
from histsearch.training.data_on_gpu import DataOnGpu

if TYPE_CHECKING:
    from histsearch.workers.gpu import Gpu

_USUALLY_MOST_LOADERS = 8
_GPU_THREADS = 2
_MOST_SLOTS = 48  # as many processes as MPS takes on a GPU


class DeviceName(StrEnum):
    """Devices that ``--device`` names; GPUs are named by ``--gpu``."""

    cpu = "cpu"


GpuOption = Annotated[
    str | None,
    typer.Option("--gpu", metavar="GPU", help="GPU to use, by nvidia-smi's index or by UUID."),
]
GpusOption = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        metavar="GPU[,GPU...]|all",
        help="GPU to use, by nvidia-smi's index or by UUID; several, or all: one process each.",
    ),
]
DeviceOption = Annotated[DeviceName | None, typer.Option("--device", help="Work without a GPU.")]
SlotsOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=_MOST_SLOTS,
        metavar="N",
        help="Trials to run side by side on each device, each with --loaders of its own; "
        "--threads are divided among them. A second of one counts 1/N second in hours.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads of torch [default: 1 with --device cpu, else 2]"),
]

LoadersOption = Annotated[
    int | None,
    typer.Option(
        "--loaders",
        min=0,
        max=1024,
        metavar="N",
        help="Processes that decode images [default: the GPU's share of the cores, at most "
        f"{_USUALLY_MOST_LOADERS}; with --device cpu 0, which decodes in between batches]",
    ),
]

DataOnGpuOption = Annotated[
    DataOnGpu,
    typer.Option(
        "--data-on-gpu",
        help="Whether decoded images lie on the GPU, which then cuts the training crops: auto, "
        "where they take at most a quarter of its free memory; always, or not at all; never. A "
        "trial that was begun in one way goes on in it.",
    ),
]


def named_gpus(gpu: str | None, device: DeviceName | None) -> list["Gpu"]:
    """The GPUs that ``--gpu`` names; none with ``--device cpu``."""
    if (gpu is None) == (device is None):
        raise DeviceError("name the device: either --gpu INDEX, or --device cpu")
    if gpu is None:
        return []
    from histsearch.workers.gpu import select_gpus

    return select_gpus(gpu)


def named_gpu(gpu: str | None, device: DeviceName | None) -> "Gpu | None":
    """The one GPU that ``--gpu`` names; None with ``--device cpu``."""
    gpus = named_gpus(gpu, device)
    if len(gpus) > 1:
        raise DeviceError(f"found {len(gpus)} GPUs in --gpu {gpu}, allowed: one")
    return gpus[0] if gpus else None


def pin(gpu: "Gpu | None") -> str:
    """Let this process see that GPU alone, or none; returns torch's name of the device."""
    from histsearch.workers.gpu import hide_gpus, pin_to_gpu

    if gpu is None:
        hide_gpus()
        return "cpu"
    pin_to_gpu(gpu)
    return "cuda"


def usual_threads(gpu: "Gpu | None") -> int:
    """Torch's CPU threads: few beside a GPU, one without, so that workers can share the cores."""
    return _GPU_THREADS if gpu else 1


def loader_processes(chosen: int | None, gpu: "Gpu | None", slots: int = 1) -> int:
    """Processes that decode images: those of ``--loaders``, else what its help says.

    Args:
        chosen: What ``--loaders`` says.
        gpu: The GPU that they work for.
        slots: How many it has, to each of which ``--loaders`` gives as many.
    """
    if chosen is not None:
        return chosen
    if gpu is None:
        return 0
    from histsearch.workers.gpu import count_machines_gpus

    share = (os.cpu_count() or 1) // count_machines_gpus() // slots
    return max(1, min(_USUALLY_MOST_LOADERS, share))
