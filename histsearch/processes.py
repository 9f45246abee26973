"""Processes that end with the one that started them, however that one ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
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
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)
