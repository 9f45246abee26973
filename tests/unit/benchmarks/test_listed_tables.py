"""Tables whose configurations are listed points, and whose runs differ in length."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search.columns import Params
from benchmarks.search.courses import Task, simulate
from benchmarks.search.methods import build
from benchmarks.search.methods.listed import ListedPoints
from benchmarks.search.simulator import Problem, Simulation
from benchmarks.search.table import Table
from histsearch.freeze_thaw.parameters import Choices, Range

POINTS = 40


def line(params: Params, curve: list[float], **more: Any) -> dict[str, Any]:
    return {"params": params, "seed": 0, "curve": curve, "seconds": float(len(curve))} | more


def write(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "listed.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def points() -> list[Params]:
    """Random points of ranges; ``steps`` follows from ``epochs`` and ``batch_size``."""
    rng = np.random.default_rng(0)
    chosen: list[Params] = []
    for number in range(POINTS):
        epochs, batch_size = 2 + number % 3, (16, 32)[number % 2]
        chosen.append(
            {
                "lr": float(10 ** rng.uniform(-5, -1)),
                "momentum": float(rng.uniform(0, 1)),
                "epochs": epochs,
                "batch_size": batch_size,
                "steps": epochs * 960 // batch_size,
                "optimizer": ("sgd", "adam")[number % 2 if number % 5 else 0],
            }
        )
    return chosen


def curve_of(params: Params) -> list[float]:
    end = 0.9 - 0.1 * abs(math.log10(float(params["lr"])) + 3)
    return [end * epoch / int(params["epochs"]) for epoch in range(1, int(params["epochs"]) + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, [line(params, curve_of(params)) for params in points()])


def test_listed_points_span_ranges_and_leave_out_what_follows_from_others(path: Path) -> None:
    table = Table(path)
    assert table.is_listed
    assert list(table.parameters) == ["lr", "momentum", "epochs", "batch_size", "optimizer"]
    lr, momentum = table.parameters["lr"], table.parameters["momentum"]
    assert isinstance(lr, Range)
    assert isinstance(momentum, Range)
    assert (lr.log, momentum.log) == (True, False)
    assert table.parameters["epochs"] == Choices((2, 3, 4))
    assert table.parameters["optimizer"] == Choices(("adam", "sgd"))
    assert len(table.grid) == POINTS


def test_a_run_is_worth_its_own_last_score_and_costs_its_own_length(path: Path) -> None:
    table = Table(path)
    lengths = [int(params["epochs"]) for params in points()]
    assert table.epochs == round(np.mean(lengths))
    assert table.grid_epochs == pytest.approx(sum(lengths))
    assert table.run_epochs == pytest.approx(np.mean(lengths))
    assert table.grid_seconds == pytest.approx(sum(lengths), rel=0.01)
    ends = [100 * curve_of(params)[-1] for params in points()]
    assert table.truth_G == pytest.approx(ends)
    assert table.best == pytest.approx(max(ends))


def test_a_part_of_a_run_shows_the_next_score_and_costs_its_way_there(tmp_path: Path) -> None:
    short: Params = {"lr": 0.1}
    long: Params = {"lr": 0.2}
    lines = [
        line(short, [0.1, 0.2], epoch_seconds=[5.0, 7.0]),
        line(long, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    ]
    table = Table(write(tmp_path, lines))
    assert table.epochs == 4
    (two,) = table.recordings(table.row(short))
    assert two.curve_T.tolist() == [0.1, 0.1, 0.2, 0.2]
    assert two.steps_T.tolist() == [1, 0, 1, 0]
    assert two.seconds_T == pytest.approx([5, 0, 7, 0], abs=0.01)
    (six,) = table.recordings(table.row(long))
    assert six.curve_T.tolist() == [0.2, 0.3, 0.5, 0.6]
    assert six.steps_T.tolist() == [2, 1, 2, 1]


def test_scores_at_steps_lie_where_they_were_measured(tmp_path: Path) -> None:
    lines = [
        line({"lr": 0.1}, [0.1, 0.5, 0.6], steps=[1000, 2000, 2500], seconds=50.0),
        line({"lr": 0.2}, [0.1, 0.2, 0.3, 0.4, 0.6], steps=[1000, 2000, 3000, 4000, 5000]),
    ]
    table = Table(write(tmp_path, lines))
    assert table.epochs == 4
    (run,) = table.recordings(table.row({"lr": 0.1}))
    assert run.curve_T.tolist() == [0.1, 0.5, 0.5, 0.6]
    assert run.seconds_T == pytest.approx([20, 20, 0, 10], abs=0.01)
    assert run.steps_T.sum() == pytest.approx(3)


def test_a_run_that_diverged_is_worth_nothing_and_costs_what_it_took(tmp_path: Path) -> None:
    lines = [
        line({"lr": 0.1, "epochs": 4}, [0.1, 0.2, 0.3, 0.4]),
        line({"lr": 0.2, "epochs": 8}, [0.5, 0.6], diverged=True),
        line({"lr": 0.3, "epochs": 4}, [], diverged=True, seconds=0.0),
        line({"lr": 0.4, "epochs": 4}, [0.1, 0.2, 0.3, 0.4]),
    ]
    table = Table(write(tmp_path, lines))
    assert table.epochs == 4
    rows = [table.row(one["params"]) for one in lines]
    (run,) = table.recordings(rows[1])
    assert run.curve_T.tolist() == [0.6, 0.0, 0.0, 0.0], "two of eight epochs are a quarter"
    assert run.steps_T.tolist() == [2, 0, 0, 0]
    (at_once,) = table.recordings(rows[2])
    assert (at_once.curve_T.sum(), at_once.steps_T.sum()) == (0.0, 0.0)


def test_steps_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    bad = line({"lr": 0.1}, [0.1, 0.2], steps=[1000, 1000])
    with pytest.raises(ValueError, match=r"line 1: found .*, expected an object with params"):
        Table(write(tmp_path, [bad]))


def test_a_grid_with_words_alone_and_many_seeds_is_worth_its_means(tmp_path: Path) -> None:
    lines = [
        line({"op": op, "other": other}, [0.1 * seed + 0.2 * (op == "b")], seed=seed)
        for op in "abc"
        for other in "xy"
        for seed in range(3)
    ]
    table = Table(write(tmp_path, lines))
    assert not table.is_listed
    assert table.truth_G == pytest.approx([10, 10, 30, 30, 10, 10])


@pytest.mark.parametrize("method", ["freeze-thaw", "random", "tpe-multivariate-median"])
def test_a_search_of_listed_points_trains_these_alone(path: Path, method: str) -> None:
    table = Table(path)
    course = simulate(Task(path, method, 1, 0.5, 0))
    assert course.steps[-1].epochs >= 0.5 * table.grid_epochs
    assert 0.0 <= course.steps[-1].regret < table.best


def test_random_search_trains_each_listed_point_once(path: Path) -> None:
    table = Table(path)
    search = build("random", Problem(table.space, table.epochs, 1), 0)
    rows = []
    for _ in range(POINTS):
        job = search.next()
        assert job is not None
        rows.append(table.row(job.params))
        for epoch in range(1, table.epochs + 1):
            search.report(job.trial, epoch, 0.5, 1.0)
    assert sorted(rows) == list(range(POINTS))


def test_a_proposal_becomes_the_nearest_point_that_is_left(path: Path) -> None:
    table = Table(path)
    taken = ListedPoints(table.space)
    first, second = taken.take(dict(table.grid[7])), taken.take(dict(table.grid[7]))
    assert first == table.grid[7]
    assert second != first
    places = {row: table.places_GD[row] for row in range(POINTS)}
    distances = {row: np.abs(places[row] - places[7]).sum() for row in range(POINTS) if row != 7}
    assert distances[table.row(second)] == pytest.approx(min(distances.values()), abs=0.02)


def test_costs_of_different_lengths_are_counted_in_their_own_epochs(path: Path) -> None:
    table = Table(path)
    search = build("random", Problem(table.space, table.epochs, 1), 0)
    steps = Simulation(table, search, workers=1, budget=1.0, seed=0).run()
    assert steps[table.epochs * POINTS - 1].epochs == pytest.approx(table.grid_epochs)
