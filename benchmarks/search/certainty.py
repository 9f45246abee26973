"""How sure the tables are of their best, and what that leaves of the results, as Markdown.

    python -m benchmarks.search.certainty

A table's truth is a smoothing of runs that hold luck, so it may be wrong itself. Here it is drawn
again and again from what the smoothing holds possible, and each search's last answer is judged by
every draw.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.search.courses import Course
from benchmarks.search.methods import METHODS
from benchmarks.search.recording import Array
from benchmarks.search.report import HERE
from benchmarks.search.table import Table

DRAWS = 400
TOLERANCE = 1.0
_SAME = 6e-4  # regrets are kept to the third decimal
_SEED = 0

# G = configurations of the grid, X = draws


def regrets(table: Table) -> Array:
    """(G, X) Points that each configuration lacks to the best, by each draw."""
    truths_GX = table.truth.draw(DRAWS, np.random.default_rng(_SEED))
    regrets_GX: Array = truths_GX.max(axis=0) - truths_GX
    return regrets_GX


def expected_share(table: Table, regrets_GX: Array, courses: Sequence[Course]) -> float:
    """The part of repeats whose last answer is within the tolerance, in the mean of the draws."""
    regrets_G = table.best - table.truth_G
    near_G = (regrets_GX <= TOLERANCE).mean(axis=1)
    shares = [
        near_G[np.abs(regrets_G - course.steps[-1].regret) < _SAME].mean() for course in courses
    ]
    return float(np.mean(shares))


def lines(table: Table, courses: Sequence[Course]) -> Iterator[str]:
    """A line on the table, then one a method with one worker."""
    regrets_GX = regrets(table)
    best_X = regrets_GX[int(table.truth_G.argmax())]
    yield (
        f"`{table.name}`: its best is the best with a probability of {(best_X == 0).mean():.2f}, "
        f"and within {TOLERANCE:g} of it with {(best_X <= TOLERANCE).mean():.2f}\n"
    )
    yield "| method | within 1.0 at the end | expected |"
    yield "| --- | --- | --- |"
    for method in METHODS:
        some = [course for course in courses if (course.method, course.workers) == (method, 1)]
        if some:
            said = np.mean([course.steps[-1].regret <= TOLERANCE for course in some])
            share = expected_share(table, regrets_GX, some)
            yield f"| `{method}` | {said:.0%} | {share:.0%} |"
    yield ""


def main() -> None:
    for path in sorted((HERE / "tables").glob("*.jsonl")):
        courses = list(Course.read(HERE / "results" / path.name).values())
        print("\n".join(lines(Table(path), courses)))


if __name__ == "__main__":
    main()
