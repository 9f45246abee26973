"""What the tables hold and show, as Markdown tables, as ``tables.md`` has them.

python -m benchmarks.search.describe
"""

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.search.report import HERE
from benchmarks.search.summary import TOLERANCES
from benchmarks.search.table import Table

COLUMNS = (
    *("table", "configurations", "seed σ", "true R@1", "the best is known to"),
    *("configurations within 0.3 / 1.0 of it", "seconds a run"),
)


def describe(table: Table) -> str:
    """A line on a table: seed σ and truths in points."""
    regrets_G = table.best - table.truth_G
    near = " / ".join(str(int((regrets_G <= tolerance).sum())) for tolerance in TOLERANCES)
    cells = [
        f"`{table.name}`",
        str(len(table.grid)),
        "—" if math.isnan(table.seed_deviation) else f"{table.seed_deviation:.1f}",
        f"{table.truth_G.min():.1f}–{table.best:.1f}",
        f"± {table.truth.best_deviation:.1f}",
        near,
        f"{table.grid_seconds / len(table.grid):.1f}",
    ]
    return _line(cells)


def spreads(table: Table) -> dict[str, float]:
    """How far apart each parameter's values are in the mean truth, in points."""
    places_GD = table.places_GD
    found = {}
    for name, places_G in zip(table.parameters, places_GD.T, strict=True):
        means = [float(table.truth_G[places_G == place].mean()) for place in np.unique(places_G)]
        found[name] = max(means) - min(means)
    return found


def lines(tables: list[Table]) -> Iterator[str]:
    """Both tables of ``tables.md``."""
    yield from (_line(COLUMNS), "| --- " * len(COLUMNS) + "|")
    yield from map(describe, tables)
    names = list(dict.fromkeys(name for table in tables for name in table.parameters))
    yield from ("", _line(("table", *names)), "| --- " * (1 + len(names)) + "|")
    for table in tables:
        found = spreads(table)
        cells = [f"{found[name]:.1f}" if name in found else "" for name in names]
        yield _line((f"`{table.name}`", *cells))


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    paths = sorted((HERE / "tables").glob("*.jsonl"), reverse=True)
    print("\n".join(lines([Table(path) for path in paths])))


if __name__ == "__main__":
    main()
