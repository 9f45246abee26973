"""How near the searches in ``results/`` come to the goals for freeze-thaw, as Markdown.

    python -m benchmarks.search.goals

Costs are those to come within 1.0 point of the grid's best for good, by epochs and by
worker-seconds. Random search has the whole grid (``results/whole-grid/``); a peer and freeze-thaw
are compared as far as both went.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.search.courses import Course
from benchmarks.search.report import HERE, spent
from benchmarks.search.table import Table

OURS, BASELINE = "freeze-thaw", "random"
NOT_PEERS = (OURS, BASELINE, "random-model-answer", "freeze-thaw-warm", "freeze-thaw-misled")
UNITS = ("epochs", "seconds")
TOLERANCE = 1.0


class Rival(NamedTuple):
    """A method beside freeze-thaw, in full runs of one unit.

    Attributes:
        method: Its name.
        horizon: How far it is looked at; freeze-thaw too, as far as it went.
        cost: Its median cost; infinite where that is more than the horizon.
        ours: freeze-thaw's median cost up to there.
        ours_high: What 95% of freeze-thaw's repeats cost at most, wherever they end.
    """

    method: str
    horizon: float
    cost: float
    ours: float
    ours_high: float

    @property
    def ratio(self) -> str:
        """freeze-thaw's cost as a part of its own, or a bound where it doesn't arrive."""
        if not math.isfinite(self.ours):
            return "freeze-thaw doesn't arrive"
        if not math.isfinite(self.cost):
            return f"< {self.ours / self.horizon:.2f}"
        return f"{self.ours / self.cost:.2f}"


def rivals(table: Table, courses: Sequence[Course], workers: int, unit: str) -> list[Rival]:
    """All methods beside freeze-thaw on a table with so many workers."""
    some = [course for course in courses if course.workers == workers]
    ours = [course for course in some if course.method == OURS]
    names = dict.fromkeys(course.method for course in some)
    return [
        _rival(table, ours, [course for course in some if course.method == name], unit)
        for name in names
        if name not in NOT_PEERS or name == BASELINE
    ]


def _rival(table: Table, ours: list[Course], theirs: list[Course], unit: str) -> Rival:
    part = spent(table, theirs)
    limits = part * table.grid_epochs, part * table.grid_seconds
    if unit == "seconds":
        part = min(course.steps[-1].seconds for course in theirs) / table.grid_seconds
    return Rival(
        theirs[0].method,
        part * len(table.grid),
        _cost(table, [course.until(*limits) for course in theirs], unit, 0.5),
        _cost(table, [course.until(*limits) for course in ours], unit, 0.5),
        _cost(table, ours, unit, 0.95),
    )


def _cost(table: Table, courses: Sequence[Course], unit: str, quantile: float) -> float:
    run = table.run_epochs if unit == "epochs" else table.grid_seconds / len(table.grid)
    costs = [course.cost_within(TOLERANCE)[UNITS.index(unit)] / run for course in courses]
    return float(np.quantile(costs, quantile, method="inverted_cdf"))


def against_random(found: Sequence[Rival]) -> str:
    """freeze-thaw's cost as a part of random search's."""
    return "".join(rival.ratio for rival in found if rival.method == BASELINE)


def against_best(found: Sequence[Rival]) -> str:
    """freeze-thaw's cost as a part of the cheapest peer's."""
    arrived = [rival for rival in found if rival.method != BASELINE and math.isfinite(rival.cost)]
    if not arrived:
        return "no peer arrives"
    best = min(arrived, key=lambda rival: rival.cost)
    return f"{best.ratio} of {best.method}'s" if math.isfinite(best.ours) else best.ratio


def is_under_all(found: Sequence[Rival]) -> str:
    """Whether 95% of freeze-thaw's repeats cost less than any peer's median."""
    peers = [rival for rival in found if rival.method != BASELINE]
    if any(rival.cost <= rival.ours_high for rival in peers):
        return "no"
    unknown = [rival.method for rival in peers if rival.horizon < rival.ours_high]
    return f"open ({', '.join(unknown)} ended before)" if unknown else "yes"


GOALS = (
    ("at most 0.1 of random search's", against_random),
    ("at most 0.2 of the cheapest peer's", against_best),
    ("95% of the repeats under every peer's median", is_under_all),
)


def lines(table: Table, courses: Sequence[Course]) -> Iterator[str]:
    """The goals on one table, a line each."""
    for goal, judge in GOALS:
        cells = [
            judge(rivals(table, courses, workers, unit)) for workers in (1, 8) for unit in UNITS
        ]
        yield f"| `{table.name}` | {goal} | {' | '.join(cells)} |"


def main() -> None:
    print("| table | goal | one worker, epochs | seconds | eight, epochs | seconds |")
    print("| --- " * 6 + "|")
    for path in sorted((HERE / "tables").glob("*.jsonl")):
        courses = list(Course.read(HERE / "results" / path.name).values())
        courses = [course for course in courses if course.method != BASELINE]
        courses += Course.read(HERE / "results" / "whole-grid" / path.name).values()
        print("\n".join(lines(Table(path), courses)))


if __name__ == "__main__":
    main()
