"""What a machine may be short of, known by the errors that it leads to."""

import errno
import re
import resource
import shutil
from concurrent.futures.process import BrokenProcessPool
from enum import Enum
from pathlib import Path

import psutil

from histsearch.exceptions import HistsearchError
from histsearch.workers.device_fault import chain, is_out_of_memory

_SHARED_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - Linux's shared memory
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MIB = 2**20


class LackError(HistsearchError):
    """This machine is short of something that the trials of a study need."""


class Lack(Enum):
    """Something that a machine has too little of, by the words for it."""

    GPU_MEMORY = "GPU memory"
    SHARED_MEMORY = "shared memory"
    MEMORY = "memory"
    OPEN_FILES = "open files"
    PROCESSES = "processes or threads"

    def advice(self) -> str:
        """How much of it there is, and what to do."""
        return {
            Lack.GPU_MEMORY: (
                "see with nvidia-smi whether other processes hold its memory, use fewer --slots, "
                "or search smaller batch sizes"
            ),
            Lack.SHARED_MEMORY: (
                f"{_SHARED_MEMORY_FOLDER} holds {_shared_memory_mib()} MiB; enlarge it "
                "(docker run --shm-size 4g, or mount -o remount,size=4g)"
            ),
            Lack.MEMORY: (
                f"this process may use {_memory_limit()}; raise that limit, or search smaller "
                "batch sizes"
            ),
            Lack.OPEN_FILES: (
                f"this process may open {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files; "
                "raise that with ulimit -n"
            ),
            Lack.PROCESSES: "raise ulimit -u, or the container's limit of processes",
        }[self]


# In the order in which they are looked for: a loader process that dies of a lack of shared memory
# leaves a text that speaks of memory as well.
_WORDS = (
    (Lack.OPEN_FILES, re.compile(r"[Tt]oo many open files")),
    (
        Lack.SHARED_MEMORY,
        re.compile(
            r"out of shared memory|killed by signal: Bus error"
            r"|(unable to|could not) (\w+ )*(shared memory|shm)|shm_open"
            r"|unable to (mmap|write|allocate|resize|open)\b.*</?torch_"
        ),
    ),
    (Lack.PROCESSES, re.compile(r"can't start new thread|Resource temporarily unavailable")),
    (Lack.MEMORY, re.compile(r"Cannot allocate memory|killed by signal: Killed")),
    (Lack.GPU_MEMORY, re.compile(r"CUDA.*out of memory|CU(DNN|BLAS)_STATUS_.*ALLOC")),
)
_ERRNOS = {
    errno.ENOMEM: Lack.MEMORY,
    errno.EMFILE: Lack.OPEN_FILES,
    errno.ENFILE: Lack.OPEN_FILES,
    errno.EAGAIN: Lack.PROCESSES,
}


def find_lack(error: BaseException) -> Lack | None:
    """What a machine lacks if ``error``, or one that led to it, says so; else None.

    Loader processes tell the text of their errors alone.
    """
    links = [link for link in chain(error) if isinstance(link, RuntimeError | OSError)]
    for link in links:
        if isinstance(link, OSError) and link.errno in _ERRNOS:
            return _ERRNOS[link.errno]
    texts = [str(link) for link in links]
    for lack, words in _WORDS:
        if any(words.search(text) for text in texts):
            return lack
    was_killed = any(isinstance(link, BrokenProcessPool) for link in links)
    return Lack.MEMORY if was_killed or is_out_of_memory(error) else None


def short_of(lack: Lack, found: str) -> LackError:
    """What tells that this machine is short of something, and what to do.

    Args:
        lack: What it is.
        found: What it led to.
    """
    return LackError(f"{found}: this machine is short of {lack.value}; {lack.advice()}")


def _shared_memory_mib() -> int:
    try:
        return shutil.disk_usage(_SHARED_MEMORY_FOLDER).total // _MIB
    except FileNotFoundError:
        return 0


def _memory_limit() -> str:
    """How much memory this process may use, and by which limit."""
    limits = {"this machine": psutil.virtual_memory().total}
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits["ulimit -v"] = address_space
    for file in _CGROUP_LIMITS:
        content = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        if content.isdecimal():
            limits["its container's limit"] = int(content)
    narrowest = min(limits, key=lambda name: limits[name])
    return f"{limits[narrowest] // _MIB} MiB ({narrowest})"
