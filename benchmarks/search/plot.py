"""Draw the true regret of the methods against what they cost, with bands.

python -m benchmarks.search.plot --table T.jsonl --courses C.jsonl --out plot.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.search.courses import Course
from benchmarks.search.table import Table

POINTS = 120


def draw(table: Table, courses: Sequence[Course], out: Path) -> None:
    """One panel for each number of workers; lines are medians, bands 90% intervals."""
    workers = sorted({course.workers for course in courses})
    figure, panels = plt.subplots(
        1, len(workers), figsize=(6.5 * len(workers), 4.2), sharey=True, squeeze=False
    )
    most = max(course.steps[-1].epochs for course in courses)
    costs = np.geomspace(table.epochs / 2, most, POINTS)
    methods = list(dict.fromkeys(course.method for course in courses))
    for panel, count in zip(panels[0], workers, strict=True):
        for number, method in enumerate(methods):
            some = [c for c in courses if (c.method, c.workers) == (method, count)]
            if not some:
                continue
            spent = costs[costs <= min(course.steps[-1].epochs for course in some)]
            regrets = np.array([[c.regret_at(cost, "epochs") for cost in spent] for c in some])
            low, median, high = np.quantile(regrets, (0.05, 0.5, 0.95), axis=0, method="nearest")
            runs, color = spent / table.epochs, f"C{number}"
            panel.plot(runs, median, color=color, label=f"{method} (n = {len(some)})")
            panel.fill_between(runs, low, high, alpha=0.12, color=color)
        panel.set_xscale("log")
        panel.set_title(f"{table.name}, {count} worker{'s' if count > 1 else ''}")
        panel.set_xlabel(f"cost in full runs of {table.epochs} epochs")
        panel.set_ylim(0, 6)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    panels[0][0].set_ylabel("true regret of the recommendation (points of R@1)")
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--courses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw(Table(options.table), list(Course.read(options.courses).values()), options.out)


if __name__ == "__main__":
    main()
