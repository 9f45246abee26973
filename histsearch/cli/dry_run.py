"""What ``histsearch study create --dry-run`` does and prints."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from histsearch.cli.device import loader_processes, named_gpu, pin, usual_threads
from histsearch.cli.options import USUAL_IMAGE_CACHE_LIMIT, named_image_cache
from histsearch.cli.output import echo
from histsearch.folders import data_folder
from histsearch.wording import counted, duration_text, size_text

if TYPE_CHECKING:
    from histsearch.cli.device import DeviceName
    from histsearch.reports.dry_run import DryRun
    from histsearch.workers.gpu import Gpu

_MIB = 2**20


def run_dry(
    space: str,
    name: str | None,
    trials: int | None,
    *,
    gpu: str | None,
    device: "DeviceName | None",
    data: Path | None,
) -> None:
    """Say what the search of a space will cost on a device, which is held meanwhile."""
    pinned = named_gpu(gpu, device)
    torch_device = pin(pinned)
    with _held(pinned):
        from histsearch.space.reading import load_space
        from histsearch.studies.catalog import plan_search

        planned = plan_search(load_space(space), name=name, trials=trials)

        from histsearch.reports.dry_run import dry_run

        done = dry_run(
            planned,
            device=torch_device,
            threads=usual_threads(pinned),
            loader_processes=loader_processes(None, pinned),
            data_dir=data_folder(data),
            image_cache=named_image_cache(None, USUAL_IMAGE_CACHE_LIMIT),
            on_batch_size=lambda size: echo(
                f"timing batches of {counted(size, 'image')}", err=True
            ),
        )
    for warning in done.warnings:
        echo(f"warning: {warning}", err=True)
    for label, text in _lines(done, pinned).items():
        echo(f"{label + ':':<13}{text}")


def _held(gpu: "Gpu | None") -> AbstractContextManager[object]:
    """A GPU held for the time of a block."""
    if gpu is None:
        return nullcontext()
    from histsearch.workers.gpu_lock import hold_gpu

    return hold_gpu(gpu)


def _lines(done: "DryRun", gpu: "Gpu | None") -> dict[str, str]:
    return {
        "dry run": f'"{done.planned.name}" on {_device(gpu)}; nothing was created',
        "images": str(done.census),
        "epoch": _epoch(done),
        "full run": _full_run(done),
        "budget": _budget(done),
        "memory": _memory(done, gpu),
        "checkpoints": _checkpoints(done),
    }


def _device(gpu: "Gpu | None") -> str:
    from histsearch.workers.provenance import processor_name

    return processor_name() if gpu is None else f"GPU {gpu}"


def _epoch(done: "DryRun") -> str:
    seconds = {size: f"{one.epoch_seconds:.3g} s" for size, one in done.costs.items()}
    evaluation = max(one.evaluation_seconds for one in done.costs.values())
    return f"{_by_batch_size(seconds)}, with its evaluation of {evaluation:.2g} s"


def _full_run(done: "DryRun") -> str:
    times = {size: duration_text(seconds) for size, seconds in done.run_seconds.items()}
    warmup = f" after {done.warmup_epochs:,} of warm-up" if done.warmup_epochs else ""
    return f"{_by_batch_size(times)}, for {counted(done.space.epochs, 'epoch')}{warmup}"


def _by_batch_size(texts: Mapping[int, str]) -> str:
    return ", ".join(f"{text} with batch_size {size}" for size, text in texts.items())


def _budget(done: "DryRun") -> str:
    hours = done.space.gpu_hours
    limit = "" if hours is None else f" and gpu_hours = {hours:g}"
    return (
        f"{duration_text(done.at_most_seconds)} at most, {duration_text(done.probable_seconds)} "
        f"probably, for {counted(done.planned.budget, 'trial')}{limit} with 1 worker"
    )


def _memory(done: "DryRun", gpu: "Gpu | None") -> str:
    of_all = "of this process" if gpu is None else f"of the GPU's {gpu.memory_mib:,}"
    peak = done.peak_memory_bytes // _MIB
    return f"{peak:,} MiB {of_all} at most, with batch_size {max(done.costs)}"


def _checkpoints(done: "DryRun") -> str:
    size, states = done.state_bytes, done.states
    whose = "all trials" if done.planned.definition.pauses else "each worker's trial"
    return (
        f"{size_text(states * size)} at most, for {counted(states, 'state')} of {whose}, "
        f"{size_text(size)} each"
    )
