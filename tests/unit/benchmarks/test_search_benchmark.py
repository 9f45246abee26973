"""The benchmark of searches replays what is in a table, and counts what it costs."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.__main__ import main
from benchmarks.search.columns import Params
from benchmarks.search.courses import Course
from benchmarks.search.describe import describe, spreads
from benchmarks.search.luck import change_luck
from benchmarks.search.made_up import KINDS, made_up
from benchmarks.search.simulator import Job, Search, Simulation, Step
from benchmarks.search.summary import interval
from benchmarks.search.table import Table
from histsearch.freeze_thaw.parameters import Choices
from tests.unit.benchmarks.small_table import EPOCHS, write_small_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_small_table(tmp_path)


def test_a_table_learns_its_space_from_its_lines(path: Path) -> None:
    table = Table(path)
    assert table.parameters == {"tau": Choices((4, 8, 16, 32)), "batch_size": Choices((8, 16))}
    assert (table.epochs, table.grid_epochs) == (EPOCHS, 8 * EPOCHS)
    assert table.grid_seconds == pytest.approx(4 * 6 + 4 * 3)
    assert table.grid[int(table.truth_G.argmax())] == {"tau": 16, "batch_size": 8}
    assert table.best == pytest.approx(80 - 20 / 3, abs=1.5)
    assert 0.5 < table.seed_deviation < 2
    runs = table.recordings(table.row({"tau": 4, "batch_size": 8}))
    assert [len(run.curve_T) for run in runs] == [EPOCHS, EPOCHS]
    assert runs[0].seconds_T.tolist() == [2.0] * EPOCHS


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"params": {"tau": 4}, "seed": 0, "curve": [0.1], "seconds": 1}',
        '{"params": ["tau", "batch_size"], "seed": 0, "curve": [0.1], "seconds": 1}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": 0.1, "seconds": 1}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": [0.1]}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": [0.1], "seconds": 0}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": [55.3], "seconds": 1}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": [null], "seconds": 1}',
        '{"params": {"tau": 4, "batch_size": 8}, "seed": 0, "curve": [NaN], "seconds": 1}',
    ],
)
def test_a_line_that_is_no_run_is_refused_by_its_number(path: Path, line: str) -> None:
    path.write_text(path.read_text() + f"\n\n{line}")
    with pytest.raises(ValueError, match=r"small.jsonl, line 18: found .*, expected an object"):
        Table(path)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--methods", "luck"], "--methods: found luck, allowed: freeze-thaw, "),
        (
            ["--methods", "freeze-thaw-warm"],
            "--methods: found freeze-thaw-warm without --warm-start TABLE.jsonl",
        ),
        (["--table", "gone.jsonl"], "--table: [Errno 2] No such file or directory: 'gone.jsonl'"),
    ],
)
def test_bad_options_get_one_line(
    path: Path, options: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["search", "--table", str(path), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, str)
    assert "\n" not in ended.value.code
    assert ended.value.code.startswith(found)


def test_a_configuration_without_runs_is_replayed_by_its_neighbour(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [line for line in lines if line["params"] != {"tau": 32, "batch_size": 8}]
    path.write_text("\n".join(json.dumps(line) for line in kept))
    table = Table(path)
    assert len(table.grid) == 8
    missing = table.recordings(table.row({"tau": 32, "batch_size": 8}))
    near = [table.recordings(table.row({"tau": 16, "batch_size": 8})),
            table.recordings(table.row({"tau": 32, "batch_size": 16}))]  # fmt: skip
    assert missing in near


def test_a_quieter_table_has_one_run_each_nearer_to_the_smoothed_one(path: Path) -> None:
    table = Table(path)
    lines = [json.loads(line) for line in change_luck(path, 0.25)]
    assert len(lines) == len(table.grid)
    for line in lines:
        row = table.row(line["params"])
        smooth_E = table.truth.curves_GT[row] / 100
        first = next(
            one
            for one in map(json.loads, path.read_text().splitlines())
            if one["params"] == line["params"]
        )
        expected = smooth_E + 0.25 * (np.array(first["curve"]) - smooth_E)
        assert line["curve"] == pytest.approx(expected, abs=1e-4)
        assert line["seconds"] == first["seconds"]


def test_runs_exchange_their_luck(path: Path, tmp_path: Path) -> None:
    table, other = Table(path), tmp_path / "other.jsonl"
    once, twice = ("\n".join(change_luck(path, 1.0, shuffle=1)) for _ in range(2))
    assert once == twice
    other.write_text(once)
    before_GE, after_GE = (
        np.array([of.recordings(row)[-1].curve_T for row in range(8)]) - table.truth.curves_GT / 100
        for of in (table, Table(other))
    )
    assert np.sort(before_GE[:, -1]) == pytest.approx(np.sort(after_GE[:, -1]), abs=1e-4)
    assert before_GE[:, -1] != pytest.approx(after_GE[:, -1], abs=1e-3)


def test_a_table_is_described_by_what_matters_in_it(path: Path) -> None:
    table = Table(path)
    found = spreads(table)
    assert 2.0 < found["batch_size"] < 4.0
    assert 6.0 < found["tau"] < 10.0
    assert 0.0 < table.truth.best_deviation < 2.0
    cells = [cell.strip() for cell in describe(table).split("|")]
    assert cells[1:3] == ["`small`", "8"]
    assert cells[6] == "1 / 1"


def made_up_table(name: str, folder: Path) -> Table:
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(made_up(name)))
    return Table(path)


def mean_curves(table: Table) -> np.ndarray:
    return np.array(
        [
            np.mean([run.curve_T for run in table.recordings(row)], axis=0)
            for row in range(len(table.grid))
        ]
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_made_up_table_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    table = made_up_table(name, tmp_path)
    assert (tmp_path / f"{name}.jsonl").read_text() == "\n".join(made_up(name))
    assert table.epochs == KINDS[name].epochs


@pytest.mark.parametrize("name", ["crossing", "late"])
def test_in_some_made_up_tables_the_first_epochs_mislead(name: str, tmp_path: Path) -> None:
    table = made_up_table(name, tmp_path)
    curves = mean_curves(table)
    leader = curves[:, table.epochs // 10].argmax()
    assert curves[:, -1].max() - curves[leader, -1] > 0.01


def test_beside_the_best_of_a_cliff_all_collapse(tmp_path: Path) -> None:
    table = made_up_table("cliff", tmp_path)
    ends = mean_curves(table)[:, -1]
    lr = np.array([params["lr"] for params in table.grid])
    assert table.grid[int(ends.argmax())]["lr"] == 1e-4
    assert ends[lr > 1e-4].max() < 0.1 < 0.4 < ends[lr <= 1e-4].min()


def test_few_differ_by_less_than_two_seeds(tmp_path: Path) -> None:
    table = made_up_table("few", tmp_path)
    assert np.ptp(table.truth_G) < 2.0 * table.seed_deviation
    assert table.seed_deviation == pytest.approx(3.0, rel=0.2)


class InTurn(Search):
    """Trains given configurations one after another, and says the last one it began."""

    def __init__(self, queue: list[Params]) -> None:
        self._queue = queue
        self._begun = 0
        self.seen: list[tuple[int, int, float]] = []

    def next(self) -> Job | None:
        if self._begun == len(self._queue):
            return None
        self._begun += 1
        return Job(self._begun - 1, self._queue[self._begun - 1])

    def report(self, trial: int, epoch: int, recall: float, seconds: float) -> bool:  # noqa: ARG002
        self.seen.append((trial, epoch, recall))
        return True

    def recommend(self) -> Params:
        return self._queue[self._begun - 1]


def test_workers_share_simulated_time_and_idle_time_is_paid(path: Path) -> None:
    table = Table(path)
    quick: Params = {"tau": 4, "batch_size": 16}
    slow: Params = {"tau": 16, "batch_size": 8}
    search = InTurn([quick, slow])
    steps = Simulation(table, search, workers=2, budget=1.0, seed=0).run()
    # Side by side for 3 s, then the slow one alone for another 3 s.
    assert [step.epochs for step in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1].seconds == pytest.approx(2 * 6.0)
    assert steps[-1].regret == pytest.approx(0.0)
    assert [epoch for trial, epoch, _ in search.seen if trial == 1] == [1, 2, 3]


def test_repeated_configurations_replay_each_seed_and_then_new_luck(path: Path) -> None:
    table = Table(path)
    search = InTurn([{"tau": 8, "batch_size": 8}] * 4)
    Simulation(table, search, workers=1, budget=1.0, seed=0).run()
    ends = [recall for _, epoch, recall in search.seen if epoch == EPOCHS]
    recorded = {float(run.curve_T[-1]) for run in table.recordings(table.row(search.recommend()))}
    assert set(ends[:2]) == recorded
    assert len(set(ends)) == 4


def test_a_cost_counts_from_when_the_answer_stays_good() -> None:
    steps = [Step(1, 2.0, 0.1), Step(4, 8.0, 2.0), Step(6, 12.0, 0.9), Step(9, 18.0, 0.2)]
    course = Course("t", "m", 1, 0, steps, 0.0)
    assert course.cost_within(1.0) == (6.0, 12.0)
    assert course.cost_within(0.3) == (9.0, 18.0)
    assert course.cost_within(0.1) == (math.inf, math.inf)
    assert course.regret_at(5, "epochs") == 2.0
    assert course.regret_at(12.0, "seconds") == 0.9
    assert interval([1.0, 2.0, math.inf]) == {"median": 2.0, "low": 1.0, "high": None}


def test_a_course_as_far_as_a_smaller_budget() -> None:
    steps = [Step(1, 2.0, 3.0), Step(4, 8.0, 0.5), Step(6, 12.0, 2.0), Step(9, 18.0, 0.0)]
    course = Course("t", "m", 1, 0, steps, 0.0)
    assert course.reaches(9, 18.0)
    assert not course.reaches(9, 19.0)
    assert not course.reaches(10, 18.0)
    assert course.until(5, 10.0).steps == steps[:2]
    assert course.until(3, 13.0).steps == steps[:3], "both are spent"
    assert course.until(5, 10.0).cost_within(1.0) == (4.0, 8.0)
