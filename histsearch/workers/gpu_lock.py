"""One worker a GPU: a lock that the kernel takes back when the worker's process ends."""

import fcntl
import os
import tempfile
from pathlib import Path

from histsearch.exceptions import DeviceError
from histsearch.workers.gpu import Gpu


def hold_gpu(gpu: Gpu, *, share: bool) -> None:
    """Hold ``gpu`` until this process ends, however it ends.

    Args:
        gpu: The GPU to hold.
        share: Hold it beside other sharers. Without, it is held alone.

    Raises:
        DeviceError: another worker of this machine holds the GPU, or the lock's file can't be used.
    """
    path = Path(tempfile.gettempdir()) / f"histsearch-{gpu.uuid}.lock"
    try:
        lock = os.fdopen(_open(path), "rb", buffering=0)
        # flock and not lockf: systemd-tmpfiles leaves a file alone that is locked so.
        fcntl.flock(lock, (fcntl.LOCK_SH if share else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DeviceError(
            f"another histsearch worker holds GPU {gpu}; stop it, choose another GPU, or start all "
            "workers of this GPU with --share"
        ) from error
    except OSError as error:
        raise DeviceError(
            f"the lock of GPU {gpu} can't be used ({error.strerror}: {path}); "
            "remove that file, or let its owner do so"
        ) from error
    # A forked process would share the lock: loader processes that outlive a killed worker for some
    # seconds would keep its successor out. The hook also keeps the file open in this process.
    os.register_at_fork(after_in_child=lock.close)


def _open(path: Path) -> int:
    """Open the file for reading, which is enough to lock it; make it for all users if need be."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    # Kernels may refuse O_CREAT for a file of another user in /tmp: hence only where there is none.
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    umask = os.umask(0)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # made by another worker meanwhile
        return os.open(path, flags)
    finally:
        os.umask(umask)
