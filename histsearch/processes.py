"""Processes that end with the one that started them, however that one ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
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
    has_server = multiprocessing.get_start_method() == "forkserver"
    return _end_with_client_of_server if has_server else partial(_end_loader_process, os.getpid())


def _end_loader_process(parent: int, _place: int) -> None:
    end_with_parent(parent)


def _end_with_client_of_server(_place: int) -> None:
    """End with the process that asked a fork server for this one: the server outlives it."""
    client = multiprocessing.parent_process()
    assert client is not None

    def end_with_client() -> None:
        client.join()
        os._exit(0)

    threading.Thread(target=end_with_client, name="end with client", daemon=True).start()
