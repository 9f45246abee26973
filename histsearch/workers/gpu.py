"""GPUs by index or UUID, and the pinning of a process to one of them.

Nothing here imports torch: CUDA reads its environment when torch first touches it, so a process
is pinned before.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pynvml

from histsearch.exceptions import DeviceError

ALL = "all"


VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable that says which GPUs a process may use, and in which order; a scheduler sets it."""


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine, or one instance (MIG) of one that is divided.

    Attributes:
        index: Its place among those that `VISIBLE` allows; without it, the place of the whole GPU
            by PCI bus, as ``nvidia-smi`` numbers them.
        uuid: Its UUID, ``GPU-...``, or ``MIG-...`` of an instance.
        name: Its model.
        memory_mib: Its memory in MiB.
    """

    index: int
    uuid: str
    name: str
    memory_mib: int

    def __str__(self) -> str:
        return f"{self.index}: {self.name}, {self.memory_mib} MiB ({self.uuid})"


@dataclass(frozen=True)
class _Board:
    """A whole GPU, and what can be used of it: itself, or its instances if it is divided."""

    index: int
    uuid: str
    usable: tuple[Gpu, ...]


def list_gpus() -> list[Gpu]:
    """The GPUs that this process may use; none where there is no NVIDIA driver.

    Those of `VISIBLE`, in its order, else all of the machine's. One that doesn't answer or mustn't
    be opened is left out, as it mustn't hinder the work of the others.

    Raises:
        DeviceError: The driver is there and doesn't work, or no GPU answers.
    """
    boards = _boards()
    allowed = os.environ.get(VISIBLE)
    if allowed is None:
        return [gpu for board in boards for gpu in board.usable]
    return _allowed(allowed, boards)


def count_machines_gpus() -> int:
    """How many GPUs the machine has, those included that this process may not use."""
    return len(_boards())


def _allowed(names: str, boards: list[_Board]) -> list[Gpu]:
    """The GPUs of a list as CUDA reads it: up to the first that there isn't."""
    found: list[Gpu] = []
    for name in names.split(","):
        gpu = _named(name.strip(), boards)
        if gpu is None or any(gpu.uuid == one.uuid for one in found):
            break
        found.append(replace(gpu, index=len(found)))
    return found


def _named(name: str, boards: list[_Board]) -> Gpu | None:
    """By index or the beginning of a UUID; of a divided GPU, CUDA takes the first instance."""
    for board in boards:
        is_meant = name == str(board.index) or (
            name.startswith("GPU-") and board.uuid.startswith(name)
        )
        if is_meant and board.usable:
            return board.usable[0]
        for gpu in board.usable:
            if name.startswith("MIG-") and gpu.uuid.startswith(name):
                return gpu
    return None


def _boards() -> list[_Board]:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []
    except pynvml.NVMLError as error:
        raise DeviceError(
            f"the NVIDIA driver doesn't answer ({error}); check nvidia-smi"
        ) from error
    try:
        return _boards_that_answer(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        raise DeviceError(f"no GPU answers ({error}); check nvidia-smi") from error
    finally:
        pynvml.nvmlShutdown()


def _boards_that_answer(count: int) -> list[_Board]:
    boards, fault = [], None
    for index in range(count):
        try:
            boards.append(_describe_board(index))
        except pynvml.NVMLError as error:
            fault = error
    if fault is not None and not boards:
        raise fault
    return boards


def _describe_board(index: int) -> _Board:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    parts = _instances(handle) if _is_divided(handle) else [handle]
    usable = tuple(_describe(index, part) for part in parts)
    return _Board(index, str(pynvml.nvmlDeviceGetUUID(handle)), usable)


def _is_divided(handle: Any) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return False  # a model or a driver that knows no instances
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _instances(handle: Any) -> list[Any]:
    found = []
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with suppress(pynvml.NVMLError_NotFound):
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
    return found


def _describe(index: int, handle: Any) -> Gpu:
    return Gpu(
        index=index,
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_mib=pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20,
    )


def is_exclusive(gpu: Gpu) -> bool:
    """Whether a GPU takes one process at a time, those of an MPS server counting as one."""
    mode = _ask(pynvml.nvmlDeviceGetComputeMode, gpu)
    return bool(mode == pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)


def used_memory_mib(gpu: Gpu) -> int | None:
    """Memory of a GPU that is in use, by whichever process; None where it can't be told."""
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, gpu)
    return None if memory is None else int(memory.used) // 2**20


def _ask(question: Callable[[Any], Any], gpu: Gpu) -> Any:
    """What the driver answers of a GPU; None where it doesn't, as for some instances."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return question(pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid))
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def select_gpus(selection: str) -> list[Gpu]:
    """The GPUs named by ``--gpu``: "all", or indices and UUIDs separated by commas.

    Raises:
        DeviceError: One of them doesn't exist, isn't allowed, or is named twice.
    """
    gpus, allowed = list_gpus(), os.environ.get(VISIBLE)
    if not gpus:
        among = "on this machine" if allowed is None else f'in {VISIBLE}="{allowed}"'
        raise DeviceError(
            f"found no NVIDIA GPU {among}, asked for --gpu {selection}; "
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
    allowed = os.environ.get(VISIBLE)
    has = "this machine has" if allowed is None else f'{VISIBLE}="{allowed}" allows'
    raise DeviceError(f'found no GPU "{name}"; {has} {"; ".join(str(gpu) for gpu in gpus)}')


def pin_to_gpu(gpu: Gpu) -> None:
    """Let this process see ``gpu`` alone, as ``cuda:0``.

    Raises:
        RuntimeError: Torch was imported already, which may be too late for CUDA to notice.
    """
    if "torch" in sys.modules:
        raise RuntimeError("a process is pinned to its GPU before torch is imported")
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ[VISIBLE] = gpu.uuid


def hide_gpus() -> None:
    """Let this process see no GPU, so that a CPU worker takes no memory of one."""
    os.environ[VISIBLE] = ""
