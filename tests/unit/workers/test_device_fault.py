import pytest
import torch

from histsearch.workers.device_fault import is_device_fault, is_out_of_memory

# What c10/cuda/CUDAException.cpp appends to CUDA's own text.
ADVICE = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the "
    "stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
    "\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


@pytest.mark.parametrize(
    "text",
    [
        f"CUDA error: an illegal memory access was encountered{ADVICE}",
        f"CUDA error: unspecified launch failure{ADVICE}",
        f"CUDA error: device-side assert triggered{ADVICE}",
        f"CUDA error: uncorrectable ECC error encountered{ADVICE}",
        f"CUDA error: the launch timed out and was terminated{ADVICE}",
        f"CUDA error: misaligned address{ADVICE}",
        f"CUDA error: unknown error{ADVICE}",
        f"CUDA error: CUDA-capable device(s) is/are busy or unavailable{ADVICE}",
        "CUDA driver error: unknown error",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa)`",
        "CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasSgemm( handle, opa)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED_CUDART",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "cuDNN error: CUDNN_STATUS_MAPPING_ERROR",
        "radix_sort: failed on 1st step: cudaErrorIllegalAddress: an illegal memory access was "
        "encountered",
        "GPU is lost",
        "No CUDA GPUs are available",
        "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before "
        "calling NumCudaDevices() that might have already set an error? Error 802: system not yet "
        "initialized",
        "CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing "
        "env variable CUDA_VISIBLE_DEVICES after program start.",
        "Caught RuntimeError in pin memory thread for device 0.\nOriginal Traceback (most recent "
        f"call last):\nRuntimeError: CUDA error: an illegal memory access was encountered{ADVICE}",
    ],
)
def test_the_process_can_not_use_its_gpu_again(text: str) -> None:
    assert is_device_fault(RuntimeError(text))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(f"CUDA error: out of memory{ADVICE}"),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(f"CUDA error: invalid argument{ADVICE}"),
        RuntimeError(f"CUDA error: invalid configuration argument{ADVICE}"),
        RuntimeError(f"CUDA error: too many resources requested for launch{ADVICE}"),
        RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        ValueError("CUDA error: an illegal memory access was encountered"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
)
def test_the_process_can_go_on(error: BaseException) -> None:
    assert not is_device_fault(error)


@pytest.mark.skipif(
    not hasattr(torch, "AcceleratorError"), reason="this torch raises plain RuntimeErrors"
)
def test_torchs_own_type_of_device_errors_counts_whatever_its_text() -> None:
    assert is_device_fault(torch.AcceleratorError("a device of another kind failed"))
    assert not is_device_fault(torch.AcceleratorError(f"CUDA error: out of memory{ADVICE}"))


def test_a_fault_counts_behind_the_errors_it_led_to() -> None:
    fault = RuntimeError("CUDA error: unspecified launch failure")
    caused = ValueError("an epoch failed")
    caused.__cause__ = fault
    in_its_course = KeyError("a figure is missing")
    in_its_course.__context__ = caused
    assert is_device_fault(in_its_course)


def test_errors_that_name_each_other_as_cause_are_looked_at_once() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert not is_device_fault(one)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate"),
    ],
)
def test_a_lack_of_memory_is_known_by_all_its_words(error: BaseException) -> None:
    assert is_out_of_memory(error)
    assert not is_device_fault(error)


def test_another_error_is_no_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))
    assert not is_out_of_memory(ValueError("out of memory"))
