"""Compare searches on a table of learning curves.

    python -m benchmarks.search --table FILE.jsonl --methods hist,tpe-median --workers 8 \\
        --repeats 50 --json

Every repeat has its own seed, the same for all methods. With ``--out`` each repeat's course is
appended to a file as it ends, and a second run goes on with those the file lacks.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.search.courses import Course, Task, run
from benchmarks.search.methods import METHODS, NEEDS_EARLIER, missing_package
from benchmarks.search.summary import summarize, write_text
from benchmarks.search.table import Table

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--table", type=Path, action="append", required=True)
    parser.add_argument("--methods", default="hist,tpe-median,random", help=", ".join(METHODS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--budget", type=float, default=0.2, help="part of the grid's full cost")
    parser.add_argument(
        "--warm-start",
        type=Path,
        help="the table that hist-warm and hist-misled have searched before",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="file of courses to append to")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    tables = [*options.table, *([options.warm_start] if options.warm_start else [])]
    for table in tables:
        try:
            Table(table)
        except (OSError, ValueError) as error:
            sys.exit(f"--table: {error}")
    methods = options.methods.split(",")
    for method in methods:
        if method not in METHODS:
            sys.exit(f"--methods: found {method}, allowed: {', '.join(METHODS)}")
        if method in NEEDS_EARLIER and options.warm_start is None:
            sys.exit(f"--methods: found {method} without --warm-start TABLE.jsonl; add it")
        package = missing_package(method)
        if package is not None:
            sys.exit(
                f"--methods: {method} needs the package {package}, which this environment hasn't; "
                "run it in the one that benchmarks/search/peers.txt or peers-old.txt describes"
            )
    tasks = [
        Task(
            table,
            method,
            options.workers,
            options.budget,
            repeat,
            options.warm_start if method in NEEDS_EARLIER else None,
        )
        for table in options.table
        for method in methods
        for repeat in range(options.repeats)
    ]
    known = Course.read(options.out) if options.out and options.out.exists() else {}
    courses = []
    for course in run(tasks, options.processes, known):
        courses.append(course)
        if options.out and course.key not in known:
            with options.out.open("a") as file:
                file.write(course.line() + "\n")
    figures = [
        summarize(
            Table(table),
            [c for c in courses if (c.table, c.method) == (table.stem, method)],
            options.budget,
        )
        for table in options.table
        for method in methods
    ]
    print(json.dumps(figures, indent=1) if options.json else write_text(figures))


if __name__ == "__main__":
    main()
