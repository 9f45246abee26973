"""GPUs by index or UUID, and the pinning of a process to one of them.

Nothing here imports torch: CUDA reads its environment when torch first touches it, so a process
is pinned before.
"""

import os
import sys
from dataclasses import dataclass

import pynvml

from histsearch.exceptions import DeviceError

ALL = "all"


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine.

    Attributes:
        index: Its place by PCI bus, as ``nvidia-smi`` numbers them.
        uuid: Its UUID, ``GPU-...``.
        name: Its model.
        memory_mib: Its memory in MiB.
    """

    index: int
    uuid: str
    name: str
    memory_mib: int

    def __str__(self) -> str:
        return f"{self.index}: {self.name}, {self.memory_mib} MiB ({self.uuid})"


def list_gpus() -> list[Gpu]:
    """The machine's GPUs in PCI bus order; none where there is no NVIDIA driver.

    One that has fallen off the bus is left out, as it mustn't hinder the work of the others.

    Raises:
        DeviceError: the driver is there and doesn't work.
    """
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []
    except pynvml.NVMLError as error:
        raise DeviceError(
            f"the NVIDIA driver doesn't answer ({error}); check nvidia-smi"
        ) from error
    try:
        found = (_describe(index) for index in range(pynvml.nvmlDeviceGetCount()))
        return [gpu for gpu in found if gpu is not None]
    except pynvml.NVMLError as error:
        raise DeviceError(f"a GPU doesn't answer ({error}); check nvidia-smi") from error
    finally:
        pynvml.nvmlShutdown()


def _describe(index: int) -> Gpu | None:
    """A GPU by its index; None if it is lost."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Gpu(
            index=index,
            uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
            name=str(pynvml.nvmlDeviceGetName(handle)),
            memory_mib=pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20,
        )
    except pynvml.NVMLError_GpuIsLost:
        return None


def select_gpus(selection: str) -> list[Gpu]:
    """The GPUs named by ``--gpu``: "all", or indices and UUIDs separated by commas.

    Raises:
        DeviceError: one of them doesn't exist, or is named twice.
    """
    gpus = list_gpus()
    if not gpus:
        raise DeviceError(
            f"found no NVIDIA GPU on this machine, asked for --gpu {selection}; "
            "use --device cpu, or check nvidia-smi"
        )
    if selection == ALL:
        return gpus
    chosen = [_find(name.strip(), gpus) for name in selection.split(",")]
    if len(set(chosen)) < len(chosen):
        raise DeviceError(f"found a GPU named twice in --gpu {selection}; name each once")
    return chosen


def _find(name: str, gpus: list[Gpu]) -> Gpu:
    for gpu in gpus:
        if name in (str(gpu.index), gpu.uuid):
            return gpu
    there = "; ".join(str(gpu) for gpu in gpus)
    raise DeviceError(f'found no GPU "{name}"; this machine has {there}')


def pin_to_gpu(gpu: Gpu) -> None:
    """Let this process see ``gpu`` alone, as ``cuda:0``.

    Raises:
        RuntimeError: torch was imported already, which may be too late for CUDA to notice.
    """
    if "torch" in sys.modules:
        raise RuntimeError("a process is pinned to its GPU before torch is imported")
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid


def hide_gpus() -> None:
    """Let this process see no GPU, so that a CPU worker takes no memory of one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
