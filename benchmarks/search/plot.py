"""Draw the true regret of the methods against what they cost: medians and 90% intervals.

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
OURS = "freeze-thaw"
LINES = ("-", "--")  # after ten methods the colors begin anew


def draw(table: Table, courses: Sequence[Course], out: Path) -> None:
    """A column for each number of workers: medians, with our 90% interval, above 95% quantiles.

    The intervals of a dozen methods would hide one another; their upper ends have a panel of their
    own.
    """
    workers = sorted({course.workers for course in courses})
    figure, panels = plt.subplots(
        2, len(workers), figsize=(6.5 * len(workers), 9), sharex=True, squeeze=False
    )
    most = max(course.steps[-1].epochs for course in courses)
    costs = np.geomspace(table.run_epochs / 2, most, POINTS)
    methods = list(dict.fromkeys(course.method for course in courses))
    for (above, below), count in zip(panels.T, workers, strict=True):
        for number, method in enumerate(methods):
            some = [c for c in courses if (c.method, c.workers) == (method, count)]
            if not some:
                continue
            spent = costs[costs <= min(course.steps[-1].epochs for course in some)]
            regrets = np.array([[c.regret_at(cost, "epochs") for cost in spent] for c in some])
            low, median, high = np.quantile(regrets, (0.05, 0.5, 0.95), axis=0, method="nearest")
            runs, look = (
                spent / table.run_epochs,
                {"color": f"C{number}", "ls": LINES[number // 10]},
            )
            label = f"{method} (n = {len(some)})"
            above.plot(runs, median, label=label, lw=2.5 if method == OURS else 1.2, **look)
            below.plot(runs, high, lw=2.5 if method == OURS else 1.2, **look)
            if method == OURS:
                above.fill_between(runs, low, high, alpha=0.15, color=look["color"])
        above.set_xscale("log")
        above.set_title(f"{table.name}, {count} worker{'s' if count > 1 else ''}")
        above.set_ylim(0, 6)
        below.set_ylim(0, 15)
        below.set_xlabel(f"cost in full runs of {table.run_epochs:.3g} epochs")
        below.legend(
            *above.get_legend_handles_labels(),
            ncols=2,
            fontsize=8,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.15),  # under the panel, where it hides no curve
        )
        for panel in (above, below):
            panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("median regret in points, 90% of freeze-thaw")
    panels[1][0].set_ylabel("regret in points that 95% are below")
    figure.tight_layout()
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--courses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw(Table(options.table), list(Course.read(options.courses).values()), options.out)


if __name__ == "__main__":
    main()
