"""One supervisor a GPU: a lock that the kernel takes back when the last process with it ends."""

import errno
import fcntl
import os
import stat
import tempfile
from io import FileIO
from pathlib import Path

from histsearch.exceptions import DeviceError
from histsearch.sharing import user_name
from histsearch.workers.gpu import Gpu

_COMMON_FOLDER = Path("/tmp")  # noqa: S108 - what may lie there is looked at, never written to


def hold_gpu(gpu: Gpu) -> FileIO:
    """Hold a GPU alone; the workers that the lock is handed on to hold it too.

    Returns:
        The lock, held until the last process that has it open closes it or ends, however it ends.

    Raises:
        DeviceError: Another process of this machine holds the GPU, or the lock's file can't be
            used.
    """
    path = _folder() / f"histsearch-{gpu.uuid}.lock"
    try:
        lock = os.fdopen(_open(path), "rb", buffering=0)
        # flock and not lockf: systemd-tmpfiles leaves a file alone that is locked so.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DeviceError(
            f"another histsearch worker holds GPU {gpu}; stop it, or choose another GPU (one "
            "command runs several trials on a GPU with --slots)"
        ) from error
    except OSError as error:
        raise DeviceError(
            f"the lock of GPU {gpu} can't be used ({error.strerror}: {path}); {_remedy(path)}"
        ) from error
    return lock


def keep_held(descriptor: int) -> None:
    """Hold the GPU whose lock a supervisor handed on, until this process ends."""
    lock = os.fdopen(descriptor, "rb", buffering=0)
    # A forked process would share the lock: loader processes that outlive a killed worker for some
    # seconds would keep its successor out. The hook also keeps the file open in this process.
    os.register_at_fork(after_in_child=lock.close)


def _folder() -> Path:
    """The temporary folder of all users; in a user's own (TMPDIR) others wouldn't see the lock."""
    if os.access(_COMMON_FOLDER, os.W_OK | os.X_OK):
        return _COMMON_FOLDER
    return Path(tempfile.gettempdir())


def _remedy(path: Path) -> str:
    """Who can do what about a file that is no lock for this user."""
    try:
        owner = path.lstat().st_uid
    except OSError:
        return f"let users write to {path.parent}"
    if owner == os.geteuid():
        return "remove that file"
    return f"let {user_name(owner)}, who made it, remove that file"


def _open(path: Path) -> int:
    """Open the file for reading, which is enough to lock it; make it for all users if need be.

    Nobody else may write to it, and whatever another user puts in its place is only looked at.

    Raises:
        OSError: It can't be made or read, or is no plain file.
    """
    # A pipe that nobody writes to would keep an open() waiting.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    # Kernels may refuse O_CREAT for a file of another user in /tmp: hence only where there is none.
    try:
        return _open_plain(path, flags)
    except FileNotFoundError:
        pass
    umask = os.umask(0)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:  # made by another worker meanwhile
        return _open_plain(path, flags)
    finally:
        os.umask(umask)


def _open_plain(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is no plain file")
    return descriptor
