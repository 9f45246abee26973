"""NVIDIA's Multi-Process Service, through which processes compute on a GPU at the same time.

CUDA looks for its daemon by itself, so that nothing is to be switched on here.
"""

import errno
import os
import socket
from pathlib import Path

from histsearch.exceptions import DeviceError
from histsearch.workers.gpu import Gpu, is_exclusive

_PIPES_VARIABLE = "CUDA_MPS_PIPE_DIRECTORY"
_USUAL_PIPES = Path("/tmp/nvidia-mps")  # noqa: S108 - CUDA's own
_START = "nvidia-cuda-mps-control -d"


def how_slots_compute(gpu: Gpu, slots: int) -> str:
    """How the workers on several slots of a GPU will use it, in one line.

    Raises:
        DeviceError: They can't, as it takes one process at a time.
    """
    pipes = Path(os.environ.get(_PIPES_VARIABLE) or _USUAL_PIPES)
    if _listens(pipes / "control"):
        return f"the {slots} slots of GPU {gpu} compute side by side: MPS is at {pipes}"
    if is_exclusive(gpu):
        raise DeviceError(
            f"found GPU {gpu} in compute mode EXCLUSIVE_PROCESS and no MPS at {pipes}, which "
            f"{slots} slots need; start it with {_START}, allow more processes with "
            f"nvidia-smi -i {gpu.uuid} -c DEFAULT, or leave --slots out"
        )
    return (
        f"the {slots} slots of GPU {gpu} take turns: found no MPS at {pipes}, by which they would "
        f"compute side by side; it is started with {_START}"
    )


def _listens(control: Path) -> bool:
    """Whether a daemon listens at this socket; one that was killed leaves it behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(control))
        except OSError as error:
            return error.errno == errno.EPROTOTYPE  # it does, with sockets of another type
    return True
