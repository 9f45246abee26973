"""Courses: what the searches did, repeat by repeat, and the processes that run them."""

import json
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.search.methods import build
from benchmarks.search.simulator import Problem, Simulation, Step
from benchmarks.search.table import Table

Key = tuple[str, str, int, int, str | None, int | None]
"""Table, method, workers, repeat, the table that was searched before, and the limit of trials."""


class Course(NamedTuple):
    """One repeat: the steps at which the recommendation's regret changed, and the last one."""

    table: str
    method: str
    workers: int
    repeat: int
    steps: list[Step]
    own_seconds: float
    earlier: str | None = None
    trials: int | None = None

    @property
    def key(self) -> Key:
        return (
            *(self.table, self.method, self.workers, self.repeat),
            *(self.earlier, self.trials),
        )

    def line(self) -> str:
        steps = [
            [round(step.epochs, 3), round(step.seconds, 2), round(step.regret, 3)]
            for step in self.steps
        ]
        return json.dumps(
            {**self._asdict(), "steps": steps, "own_seconds": round(self.own_seconds, 2)}
        )

    @classmethod
    def read(cls, path: Path) -> dict[Key, Self]:
        """All courses of a file."""
        courses = {}
        for line in path.read_text().splitlines():
            fields = json.loads(line)
            fields["steps"] = [Step(*step) for step in fields["steps"]]
            course = cls(**fields)
            courses[course.key] = course
        return courses

    def reaches(self, epochs: float, seconds: float) -> bool:
        """Whether so many epochs and so many worker-seconds were spent."""
        return self.steps[-1].epochs >= epochs and self.steps[-1].seconds >= seconds

    def until(self, epochs: float, seconds: float) -> Self:
        """The course as far as a smaller budget, which ends when both are spent."""
        steps = [step for step in self.steps if step.epochs <= epochs or step.seconds <= seconds]
        return self._replace(steps=steps)

    def cost_within(self, tolerance: float) -> tuple[float, float]:
        """Epochs and seconds until the regret is within a tolerance and stays; else infinite."""
        reached = (math.inf, math.inf)
        for step in reversed(self.steps):
            if step.regret > tolerance:
                return reached
            reached = (float(step.epochs), step.seconds)
        return reached

    def regret_at(self, limit: float, unit: str) -> float:
        """The regret when so many epochs or seconds are spent; infinite before the first answer."""
        regret = math.inf
        for step in self.steps:
            if getattr(step, unit) > limit:
                return regret
            regret = step.regret
        return regret


class Task(NamedTuple):
    table: Path
    method: str
    workers: int
    budget: float
    repeat: int
    earlier: Path | None = None
    trials: int | None = None

    @property
    def key(self) -> Key:
        """That of its course."""
        earlier = None if self.earlier is None else self.earlier.stem
        return self.table.stem, self.method, self.workers, self.repeat, earlier, self.trials


@cache
def _load(path: Path) -> Table:
    """A table, its truth fitted, once a process."""
    table = Table(path)
    assert table.best
    return table


def simulate(task: Task) -> Course:
    """One repeat of one method."""
    warnings.filterwarnings("ignore")
    table = _load(task.table)
    earlier = None if task.earlier is None else _load(task.earlier)
    problem = Problem(table.space, table.epochs, task.workers, earlier, task.trials)
    search = build(task.method, problem, task.repeat)
    started = time.process_time()
    steps = Simulation(
        table, search, workers=task.workers, budget=task.budget, seed=task.repeat
    ).run()
    return Course(
        table.name,
        task.method,
        task.workers,
        task.repeat,
        _changes(steps),
        time.process_time() - started,
        None if earlier is None else earlier.name,
        task.trials,
    )


def _changes(steps: list[Step]) -> list[Step]:
    """The steps at which the regret changes, and the last one."""
    kept = [
        step
        for before, step in zip([None, *steps], steps, strict=False)
        if before is None or before.regret != step.regret
    ]
    return kept if kept[-1] is steps[-1] else [*kept, steps[-1]]


def run(
    tasks: Sequence[Task],
    processes: int,
    known: dict[Key, Course],
) -> Iterator[Course]:
    """The courses of all tasks, those that are known first."""
    missing = []
    for task in tasks:
        course = known.get(task.key)
        if course is None:
            missing.append(task)
        else:
            yield course
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(simulate, task) for task in missing]):
            yield future.result()


def collect(
    tasks: Sequence[Task], processes: int, known: dict[Key, Course], out: Path | None
) -> list[Course]:
    """The courses of all tasks; new ones are appended to a file, if one is given, as they end."""
    courses = []
    for course in run(tasks, processes, known):
        courses.append(course)
        if out and course.key not in known:
            with out.open("a") as file:
                file.write(course.line() + "\n")
    return courses
