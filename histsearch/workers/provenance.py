"""Where a trial's result comes from: software, commit, machine and device."""

import os
import platform
import resource
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import histsearch
from histsearch.studies import trial_record

COMMIT_VARIABLE = "HISTSEARCH_COMMIT"
_PACKAGES = ("torch", "torchvision", "optuna", "numpy")


@cache
def provenance(device: torch.device, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Attributes that every trial of this process carries.

    Args:
        device: What it is trained on.
        packages: Those whose versions count besides the ones that every trial needs.
    """
    return {
        trial_record.DEVICE: device_name(device),
        trial_record.ACCELERATED: device.type == "cuda",
        trial_record.VERSIONS: {
            "histsearch": histsearch.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in (*_PACKAGES, *packages)},
        },
        trial_record.COMMIT: _commit(),
    }


def device_name(device: torch.device) -> str:
    """Model of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


def processor_name() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _commit() -> str | None:
    configured = os.environ.get(COMMIT_VARIABLE)
    if configured:
        return configured
    checkout = Path(histsearch.__file__).parents[1]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command
            [git, "-C", checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError:  # such as a checkout of another user
        return None
    return answer.stdout.strip()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak GPU memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> int:
    """Peak memory in MiB: the GPU's since the last reset, or the process's so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
