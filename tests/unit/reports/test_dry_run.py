"""The arithmetic of a dry run, and how it finds out what fits into memory."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from histsearch.data.census import Census, Part
from histsearch.reports.dry_run import DryRun, costs_of_ends
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import plan_search
from histsearch.training.timing import RunCosts
from histsearch.workers.missing_resources import LackError

SLOW, QUICK = RunCosts(10.0, 2.0, 2000, 30), RunCosts(8.0, 2.0, 3000, 40)


def dried(trials: int = 4, costs: Mapping[int, RunCosts] | None = None, **changes: Any) -> DryRun:
    """A dry run of ten epochs after one of warm-up."""
    table: dict[str, Any] = {
        "name": "s",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": 10,
        "trials": trials,
        "search": {"batch_size": [8, 16]},
        **changes,
    }
    planned = plan_search(parse_space(table, source="s.toml"))
    part = Part("training", 20, 200, 0)
    census = Census(part, part, part)
    return DryRun(planned, census, costs or {8: SLOW, 16: QUICK}, warmup_epochs=1)


def test_a_run_is_its_epochs_and_a_warm_up_that_is_not_evaluated() -> None:
    assert dried().run_seconds == {8: 10 * 12.0 + 10.0, 16: 10 * 10.0 + 8.0}


def test_a_grid_takes_at_most_all_runs_with_the_slower_batch_and_probably_their_mean() -> None:
    found = dried(trials=2, sampler="grid")
    assert found.at_most_seconds == 2 * 130
    assert found.probable_seconds == pytest.approx(2 * (130 + 108) / 2)


@pytest.mark.parametrize("sampler", ["freeze-thaw", "tpe", "gp", "random"])
def test_probably_is_never_more_than_at_most(sampler: str) -> None:
    found = dried(trials=40, sampler=sampler)
    assert 0 < found.probable_seconds <= found.at_most_seconds == 40 * 130


def test_a_limit_of_hours_bounds_both_but_for_the_run_that_uses_them_up() -> None:
    assert dried(gpu_hours=0.1).at_most_seconds == 360 + 130
    assert dried(gpu_hours=0.01).probable_seconds == 36 + (130 + 108) / 2
    assert dried(gpu_hours=9).at_most_seconds == 4 * 130
    assert dried(trials=1, gpu_hours=0.1).at_most_seconds == 130


@pytest.mark.parametrize("sampler", ["freeze-thaw", "random"])
def test_few_hours_keep_no_enqueued_run_from_beginning(sampler: str) -> None:
    enqueue = [{"batch_size": 8}, {"batch_size": 16}, {"batch_size": 8}]
    found = dried(gpu_hours=0.0001, sampler=sampler, enqueue=enqueue)
    assert found.at_most_seconds == 3 * 130


def test_memory_is_that_of_the_largest_batch_and_a_state_the_largest() -> None:
    found = dried(costs={16: QUICK, 8: SLOW})
    assert (found.peak_memory_bytes, found.state_bytes) == (3000, 40)


def test_the_store_holds_two_states_of_each_trial_that_may_be_paused() -> None:
    assert dried(trials=30).states == 60
    assert dried(trials=30, sampler="tpe").states == 2


def holds(most: int, tried: list[int], words: str) -> Callable[[int], RunCosts]:
    """Runs with batches of up to so many images, on a device that says that it lacks memory."""

    def costs_of(size: int) -> RunCosts:
        tried.append(size)
        if size > most:
            raise torch.cuda.OutOfMemoryError(words)
        return SLOW

    return costs_of


CUDA = "CUDA out of memory. Tried to allocate 20.00 GiB."


def test_the_smallest_and_the_largest_batch_are_timed() -> None:
    tried: list[int] = []
    assert list(costs_of_ends([8, 16, 32, 64], holds(64, tried, CUDA))) == [8, 64]
    assert tried == [8, 64]
    tried.clear()
    assert list(costs_of_ends([8], holds(64, tried, CUDA))) == [8]
    assert tried == [8]


@pytest.mark.parametrize("most", [8, 16, 32, 64, 100])
def test_the_largest_that_fits_is_named(most: int) -> None:
    tried: list[int] = []
    with pytest.raises(LackError) as refused:
        costs_of_ends([8, 16, 32, 64, 128], holds(most, tried, CUDA))
    fits = max(size for size in (8, 16, 32, 64) if size <= most)
    assert str(refused.value).startswith(
        f"batch_size 128 doesn't fit into memory, {fits} is the largest tried that does: this "
        "machine is short of GPU memory; "
    )
    assert "smaller batch sizes" in str(refused.value)


def test_a_smallest_batch_that_does_not_fit_is_named_alone() -> None:
    words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."
    with pytest.raises(LackError, match=r"^batch_size 8 doesn't fit into memory: this machine is "):
        costs_of_ends([8, 16], holds(4, [], words))


def test_another_lack_is_named_and_another_error_stays_itself() -> None:
    def fails(error: Exception) -> Callable[[int], RunCosts]:
        def costs_of(_: int) -> RunCosts:
            raise error

        return costs_of

    with pytest.raises(LackError, match="short of shared memory"):
        costs_of_ends([8], fails(RuntimeError("unable to allocate shared memory(shm)")))
    with pytest.raises(RuntimeError, match="a bug"):
        costs_of_ends([8], fails(RuntimeError("a bug")))
