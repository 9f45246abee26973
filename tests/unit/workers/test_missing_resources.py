import errno
import resource
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from histsearch.workers.missing_resources import Lack, find_lack


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (MemoryError(), Lack.MEMORY),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: no"), Lack.MEMORY),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), Lack.MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Lack.MEMORY),
        (BrokenProcessPool("A process in the pool was terminated abruptly"), Lack.MEMORY),
        (OSError("Caught OSError in DataLoader: [Errno 12] Cannot allocate memory"), Lack.MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), Lack.GPU_MEMORY),
        (RuntimeError("CUDA error: out of memory"), Lack.GPU_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), Lack.GPU_MEMORY),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
                "dataloader's workers are out of shared memory. Please try to raise your shared "
                "memory limit."
            ),
            Lack.SHARED_MEMORY,
        ),
        (
            RuntimeError("unable to write to file </torch_7_8_9>: No space left on device (28)"),
            Lack.SHARED_MEMORY,
        ),
        (
            RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_7_8_9>: Cannot allocate "
                "memory (12)"
            ),
            Lack.SHARED_MEMORY,
        ),
        (
            RuntimeError("Too many open files. Communication with the workers is no longer"),
            Lack.OPEN_FILES,
        ),
        (OSError(errno.EMFILE, "Too many open files"), Lack.OPEN_FILES),
        (RuntimeError("can't start new thread"), Lack.PROCESSES),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), Lack.PROCESSES),
        (ZeroDivisionError("out of memory"), None),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault."), None),
        (OSError(errno.ENOENT, "No such file or directory"), None),
    ],
)
def test_a_lack_is_known_by_its_errors(error: Exception, lack: Lack | None) -> None:
    assert find_lack(error) is lack
    wrapped = ValueError("a batch failed")
    wrapped.__cause__ = error
    assert find_lack(wrapped) is lack


def test_the_advice_names_what_there_is_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--shm-size" in Lack.SHARED_MEMORY.advice()
    assert "shm holds" in Lack.SHARED_MEMORY.advice()
    assert "MiB (" in Lack.MEMORY.advice()
    limits = {resource.RLIMIT_AS: 300 * 2**20, resource.RLIMIT_NOFILE: 64}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], limits[kind]))
    assert "300 MiB (ulimit -v)" in Lack.MEMORY.advice()
    assert "64 files" in Lack.OPEN_FILES.advice()
    assert "nvidia-smi" in Lack.GPU_MEMORY.advice()
