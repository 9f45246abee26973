"""Searches run on a table by the methods themselves."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.courses import Course, Task, simulate
from benchmarks.search.methods import ours
from benchmarks.search.report import HERE
from benchmarks.search.simulator import Problem
from benchmarks.search.summary import summarize
from benchmarks.search.table import Table
from histsearch.freeze_thaw import candidates
from tests.unit.benchmarks.small_table import EPOCHS, write_small_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_small_table(tmp_path)


def test_kept_courses_are_taken_up_unless_their_budget_was_smaller(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"

    def lines_after(budget: str) -> list[str]:
        options = ["--methods", "random", "--repeats", "2", "--processes", "1"]
        files = ["--table", str(path), "--out", str(out), "--budget", budget]
        command = [sys.executable, "-m", "benchmarks.search", *options, *files]
        subprocess.run(command, capture_output=True, check=True)
        return out.read_text().splitlines()

    small = lines_after("0.25")
    large = lines_after("1.0")
    assert (len(small), len(large)) == (2, 4)
    assert large[:2] == small
    assert lines_after("0.5") == large
    assert all(course.steps[-1].epochs >= 8 * EPOCHS for course in Course.read(out).values())


@pytest.mark.parametrize("workers", [1, 3])
def test_the_projects_own_method_is_repeatable_and_finds_the_best(path: Path, workers: int) -> None:
    task = Task(path, "freeze-thaw", workers, 3.0, 0)
    course = simulate(task)
    assert course.steps == simulate(task).steps
    assert course.steps[-1].regret < 1.0
    figures = summarize(Table(path), [course], 1.0)
    assert figures["within_1.0"]["reached"] == 1.0
    assert Course.read(_written(path.parent, course))[course.key].steps[-1].epochs > 0


def test_random_trials_with_our_answer_run_to_their_ends_and_never_again(path: Path) -> None:
    table = Table(path)
    search = ours.build("random-model-answer", Problem(table.space, table.epochs, 1), 0)
    begun = []
    while (job := search.next()) is not None:
        begun.append(job.params)
        recording = table.recordings(table.row(job.params))[0]
        for epoch, recall in enumerate(recording.curve_T, 1):
            assert search.report(job.trial, epoch, recall, 1.0)
            answer = search.recommend()
            assert answer in begun
    assert sorted(map(table.row, begun)) == list(range(len(table.grid)))
    assert table.truth_G.max() - table.truth_G[table.row(answer)] < 1.0


def test_of_a_large_grid_another_part_is_looked_at_after_every_epoch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "MOST", 3)
    table = Table(path)
    search = ours.FreezeThaw(Problem(table.space, table.epochs, 1), 0)
    tried = set()
    for _ in range(12):
        job = search.next()
        assert job is not None
        tried.add(table.row(job.params))
        search.report(job.trial, EPOCHS, float(table.truth_G[table.row(job.params)]) / 100, 1.0)
    assert len(tried) > 3
    assert table.truth_G[table.row(search.recommend())] == max(table.truth_G[sorted(tried)])


def test_a_search_begins_with_what_it_learned_on_another_table(path: Path) -> None:
    warm, misled = (
        simulate(Task(path, method, 1, 3.0, 0, earlier=path))
        for method in ("freeze-thaw-warm", "freeze-thaw-misled")
    )
    assert warm.steps[0].regret < misled.steps[0].regret
    assert misled.steps[-1].regret < 1.0


@pytest.mark.parametrize("method", ["freeze-thaw", "tpe-multivariate-median"])
def test_a_search_with_few_trials_stops_by_itself(path: Path, method: str) -> None:
    course = simulate(Task(path, method, 2, math.inf, 0, trials=3))
    assert course.steps[-1].epochs <= 3 * EPOCHS
    assert course.trials == 3
    assert course.key != course._replace(trials=None).key


def _written(folder: Path, course: Course) -> Path:
    path = folder / "courses.jsonl"
    path.write_text(course.line() + "\n")
    return path


@pytest.mark.parametrize(
    ("method", "workers"),
    [
        ("random", 1),
        ("tpe-multivariate-median", 1),
        ("tpe-multivariate-median", 8),
        ("tpe-multivariate-median-warmup", 1),
        ("tpe-multivariate-hyperband", 1),
    ],
)
def test_a_method_of_optuna_does_again_what_was_kept_of_it(
    method: str, workers: int, tmp_path: Path
) -> None:
    table = HERE / "tables" / "held-omniglot.jsonl"
    task = Task(table, method, workers, 0.2, 3)
    kept = Course.read(HERE / "results" / table.name)[task.key]
    again = Course.read(_written(tmp_path, simulate(task)))[task.key]
    assert np.array(again.steps) == pytest.approx(np.array(kept.steps), abs=0.01)
