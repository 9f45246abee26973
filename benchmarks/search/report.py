"""The courses that are kept in ``results/`` as Markdown tables, as ``figures-*.md`` has them.

python -m benchmarks.search.report
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.courses import Course
from benchmarks.search.methods import METHODS
from benchmarks.search.summary import SHARES, cell, summarize
from benchmarks.search.table import Table

HERE = Path(__file__).parent
COLUMNS = (
    *("method", "workers", "n", "within 0.3 / 1.0 at the end"),
    *("cost to 0.3", "cost to 1.0", "the same by seconds"),
    *(f"regret at {part:.0%}" for part in SHARES),
    "own s",
)


def rows(table: Table, courses: Sequence[Course]) -> Iterator[str]:
    """A line for each method and number of workers."""
    for workers in sorted({course.workers for course in courses}):
        for method in METHODS:
            some = [c for c in courses if (c.method, c.workers) == (method, workers)]
            if some:
                yield _row(summarize(table, some, spent(table, some)))


def spent(table: Table, courses: Sequence[Course]) -> float:
    """The part of the grid's full cost that all courses of a method came to."""
    return min(course.steps[-1].epochs for course in courses) / table.grid_epochs


def _row(figures: dict[str, Any]) -> str:
    near, nearer = figures["within_1.0"], figures["within_0.3"]
    regrets = [figures.get(f"regret_at_{part:g}") for part in SHARES]
    cells = [
        f"`{figures['method']}`",
        str(figures["workers"]),
        str(figures["repeats"]),
        f"{nearer['reached']:.0%} / {near['reached']:.0%}",
        cell(nearer["full_runs"]),
        cell(near["full_runs"]),
        cell(near["full_runs_by_seconds"]),
        *("" if regret is None else cell(regret["epochs"]) for regret in regrets),
        f"{figures['own_seconds_per_repeat']:.2g}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    for path in sorted((HERE / "results").glob("*.jsonl")):
        courses = list(Course.read(path).values())
        table = Table(HERE / "tables" / f"{courses[0].table}.jsonl")
        earlier = courses[0].earlier
        after = f", after a search of `{earlier}`" if earlier else ""
        print(f"**`{table.name}`**{after}\n")
        print(f"| {' | '.join(COLUMNS)} |")
        print("| --- " * len(COLUMNS) + "|")
        print("\n".join(rows(table, courses)) + "\n")


if __name__ == "__main__":
    main()
