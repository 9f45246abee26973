"""Processes that do the same thing at the same moment."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

Result = TypeVar("Result")

# A server that has imported the packages forks processes which needn't do so again.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "alembic.command", "histsearch.studies.retraining"])

_start: Barrier


def _set_start(barrier: Barrier) -> None:
    global _start
    _start = barrier


def _run_at_start(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    _start.wait()
    return function(*arguments)


def run_side_by_side(
    processes: int, function: Callable[..., Result], *arguments: Any
) -> list[Result]:
    """Call ``function`` once in each of several new processes, none before all are ready."""
    with ProcessPoolExecutor(
        processes,
        mp_context=PROCESSES,
        initializer=_set_start,
        initargs=(PROCESSES.Barrier(processes),),
    ) as pool:
        calls = [pool.submit(_run_at_start, function, arguments) for _ in range(processes)]
        return [call.result() for call in calls]
