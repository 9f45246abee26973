"""How a run computes on its device: with which precision, and with which algorithms."""

import torch

from histsearch.exceptions import DeviceError
from histsearch.space.space import Determinism, Precision


def check_precision(precision: Precision, device: torch.device) -> None:
    """Make sure that a device computes with a precision itself.

    Raises:
        DeviceError: It is a GPU that would only imitate it.
    """
    if precision != "bf16" or device.type != "cuda":
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise DeviceError(
            f'found precision = "bf16" and {torch.cuda.get_device_name(device)}, which has no '
            'units for it; use a GPU of compute capability 8.0 or later, or precision = "fp32"'
        )


def choose_algorithms(determinism: Determinism) -> None:
    """Have this process compute with repeatable algorithms, or with the fastest.

    Matrix products of float32 are exact in both: TF32 would lose three digits of a distance.
    """
    torch.backends.cudnn.deterministic = determinism == "exact"
    # Benchmarking chooses among cuDNN's algorithms by their speed at the moment, so that two
    # processes may round differently.
    torch.backends.cudnn.benchmark = determinism == "fast"
    torch.set_float32_matmul_precision("highest")


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which a network is trained with a precision; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
