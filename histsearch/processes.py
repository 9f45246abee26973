"""Processes that end with the one that started them, however that one ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux; else do nothing).

    Args:
        parent: Number of the parent's process; this one ends at once if it has died already.
        number: The signal.
    """
    if sys.platform != "linux":
        return
    _libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(0)


def end_at_once(code: int) -> NoReturn:
    """End this process and those it works with, whatever its threads do or wait for.

    Args:
        code: Its exit code.
    """
    try:
        for child in multiprocessing.active_children():
            child.kill()
    finally:
        os._exit(code)


def ends_with_this_process() -> Callable[[int], None]:
    """A data loader's ``worker_init_fn``: its processes end with this one, however it ends.

    By themselves they look every five seconds, and never while they wait for a disk.
    """
    return partial(_end_loader_process, os.getpid())


def _end_loader_process(parent: int, _place: int) -> None:
    end_with_parent(parent)
