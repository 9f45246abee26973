"""Searches that may begin a few trials only: epochs trained, and how good the answer is at the end.

    python -m benchmarks.search.few_trials --table T.jsonl --trials 12,24,48 --repeats 20

Both methods stop by themselves: ours by the rule of a study whose trials have all begun,
univariate TPE when its last trial was complete or pruned.
"""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.search.courses import Course, Task, collect

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, action="append", required=True)
    parser.add_argument("--methods", default="freeze-thaw,tpe-univariate-median")
    parser.add_argument("--trials", default="12,24,48")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="file of courses to append to")
    options = parser.parse_args()
    tasks = [
        Task(path, method, options.workers, math.inf, repeat, trials=trials)
        for path in options.table
        for trials in map(int, options.trials.split(","))
        for method in options.methods.split(",")
        for repeat in range(options.repeats)
    ]
    known = Course.read(options.out) if options.out and options.out.exists() else {}
    courses = collect(tasks, options.processes, known, options.out)
    for path in options.table:
        for trials in map(int, options.trials.split(",")):
            for method in options.methods.split(","):
                its = [
                    one
                    for one in courses
                    if (one.table, one.trials, one.method) == (path.stem, trials, method)
                ]
                print(f"{path.stem:16} {trials:3} trials  {method:30} {_figures(its)}")


def _figures(courses: Sequence[Course]) -> str:
    epochs = np.array([course.steps[-1].epochs for course in courses])
    regrets = np.array([course.steps[-1].regret for course in courses])
    error = regrets.std(ddof=1) / math.sqrt(len(regrets)) if len(regrets) > 1 else math.nan
    return (
        f"{epochs.mean():7.1f} epochs   regret {regrets.mean():5.2f} +- {error:.2f}   "
        f"n = {len(regrets)}"
    )


if __name__ == "__main__":
    main()
