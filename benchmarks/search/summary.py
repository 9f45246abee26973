"""What the courses of many repeats say of a method."""

import math
from typing import Any

import numpy as np

from benchmarks.search.courses import Course
from benchmarks.search.table import Table

TOLERANCES = (0.3, 1.0)
"""Points of R@1 under the grid's best that count as having found it."""
SHARES = (0.02, 0.05, 0.10, 0.20)
"""Parts of the grid's full cost at which the regret is read."""


def interval(values: list[float]) -> dict[str, float | None]:
    """Median and 90% interval; None stands for more than the budget."""
    low, median, high = (
        float(np.quantile(values, q, method="inverted_cdf")) for q in (0.05, 0.5, 0.95)
    )
    return {
        name: round(value, 3) if math.isfinite(value) else None
        for name, value in (("median", median), ("low", low), ("high", high))
    }


def summarize(table: Table, courses: list[Course], budget: float) -> dict[str, Any]:
    """The figures of one method on one table, up to a budget: a part of the grid's full cost."""
    full = table.grid_epochs, table.grid_seconds
    courses = [course.until(*(budget * cost for cost in full)) for course in courses]
    run_seconds = table.grid_seconds / len(table.grid)
    costs: dict[str, Any] = {}
    for tolerance in TOLERANCES:
        both = [course.cost_within(tolerance) for course in courses]
        costs[f"within_{tolerance}"] = {
            "epochs": interval([epochs for epochs, _ in both]),
            "seconds": interval([seconds for _, seconds in both]),
            "full_runs": interval([epochs / table.run_epochs for epochs, _ in both]),
            "full_runs_by_seconds": interval([seconds / run_seconds for _, seconds in both]),
            "reached": sum(math.isfinite(epochs) for epochs, _ in both) / len(both),
        }
    regrets = {
        f"regret_at_{part:g}": {
            "epochs": interval([c.regret_at(part * table.grid_epochs, "epochs") for c in courses]),
            "seconds": interval(
                [c.regret_at(part * table.grid_seconds, "seconds") for c in courses]
            ),
        }
        for part in SHARES
        if part <= budget
    }
    return {
        "table": table.name,
        "method": courses[0].method,
        "workers": courses[0].workers,
        "repeats": len(courses),
        "budget": budget,
        **costs,
        **regrets,
        "own_seconds_per_repeat": round(
            sum(course.own_seconds for course in courses) / len(courses), 3
        ),
    }


def write_text(figures: list[dict[str, Any]]) -> str:
    """The figures as a table for the terminal."""
    lines = [
        f"{'table':18} {'method':30} {'W':>2} {'n':>3}"
        + "".join(f"{f'<{t} {unit}':>25}" for t in TOLERANCES for unit in ("epochs", "seconds"))
        + "".join(f"{f'regret@{part:g}':>25}" for part in SHARES)
    ]
    for row in figures:
        cells = [
            cell(row[f"within_{tolerance}"][unit])
            for tolerance in TOLERANCES
            for unit in ("epochs", "seconds")
        ]
        regrets = [
            cell(row[f"regret_at_{part:g}"]["epochs"])
            for part in SHARES
            if f"regret_at_{part:g}" in row
        ]
        lines.append(
            f"{row['table']:18} {row['method']:30} {row['workers']:2} {row['repeats']:3}"
            + "".join(f"{cell:>25}" for cell in cells)
            + "".join(f"{cell:>25}" for cell in regrets)
        )
    return "\n".join(lines)


def cell(values: dict[str, float | None]) -> str:
    """A median and its interval; a dash stands for more than the budget."""
    median, low, high = (
        "–" if values[name] is None else f"{values[name]:.3g}" for name in ("median", "low", "high")
    )
    return f"{median} ({low} to {high})"
