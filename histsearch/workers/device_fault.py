"""Errors that leave a process unable to use its GPU.

CUDA keeps its state in the process. After a fault every further call fails as well, and only a new
process can go on. A lack of memory and a call that CUDA refuses leave that state intact.
"""

import re
from collections.abc import Iterator

import torch

# "CUDA error: " begins the messages of c10/cuda/CUDAException.cpp and of cuBLAS in
# ATen/cuda/Exceptions.h; cuDNN's begin with "cuDNN error: " and hold any of its statuses.
_FAULT = re.compile(
    r"CUDA (driver )?error:"
    r"|CUDA unknown error|Unexpected error from cudaGetDeviceCount|No CUDA GPUs are available"
    r"|CU(DNN|BLAS)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)"
    r"|illegal memory access|unspecified launch failure|uncorrectable ECC error"
    r"|(GPU|device) (is )?lost"
)
_NO_MEMORY = re.compile(r"out of memory|ALLOC(ATION)?_FAILED|DefaultCPUAllocator")
_INTACT = re.compile(
    _NO_MEMORY.pattern
    + r"|error: (invalid (configuration )?argument|too many resources requested for launch)"
    r"|_STATUS_(INVALID_VALUE|NOT_SUPPORTED)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error``, or one that led to it, is a lack of memory, of a GPU's or the machine's.

    A GPU that is shared reports it with other words than torch's own allocator does, and torch on
    the CPU as a RuntimeError that names its allocator.
    """
    return any(
        isinstance(link, MemoryError)
        or (isinstance(link, RuntimeError) and _NO_MEMORY.search(str(link)) is not None)
        for link in chain(error)
    )


def is_device_fault(error: BaseException) -> bool:
    """Whether ``error``, or one that led to it, means that this process can't use its GPU again."""
    return any(_is_fault(link) for link in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all its causes and contexts, each once."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            pending += [link.__cause__, link.__context__]


def _is_fault(error: BaseException) -> bool:
    if not isinstance(error, RuntimeError) or _INTACT.search(str(error)):
        return False
    # Torch before 2.8 raises a plain RuntimeError.
    accelerator_error = getattr(torch, "AcceleratorError", ())
    return isinstance(error, accelerator_error) or _FAULT.search(str(error)) is not None
