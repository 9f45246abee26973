"""Compare searches on a table of learning curves.

    python -m benchmarks.search --table FILE.jsonl --methods freeze-thaw,tpe-multivariate-median \\
        --workers 8 --repeats 50 --json

Every repeat has its own seed, the same for all methods. With ``--out`` each repeat's course is
appended to a file as it ends, and a second run goes on with those that the file lacks, or has with
a smaller budget only.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.search.courses import Course, Key, Task, collect
from benchmarks.search.methods import METHODS, NEEDS_EARLIER, missing_package
from benchmarks.search.summary import summarize, write_text
from benchmarks.search.table import Table

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> None:
    options = _parser().parse_args()
    tables = {path: _table(path) for path in options.table}
    if options.warm_start:
        _table(options.warm_start)
    methods = options.methods.split(",")
    for method in methods:
        _check_method(method, options)
    tasks = [
        Task(
            path,
            method,
            options.workers,
            options.budget,
            repeat,
            options.warm_start if method in NEEDS_EARLIER else None,
        )
        for path in tables
        for method in methods
        for repeat in range(options.repeats)
    ]
    known = _known(options, tables.values())
    courses = collect(tasks, options.processes, known, options.out)
    figures = [
        summarize(
            table,
            [c for c in courses if (c.table, c.method) == (table.name, method)],
            options.budget,
        )
        for table in tables.values()
        for method in methods
    ]
    print(json.dumps(figures, indent=1) if options.json else write_text(figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--table", type=Path, action="append", required=True)
    parser.add_argument(
        "--methods", default="freeze-thaw,tpe-multivariate-median,random", help=", ".join(METHODS)
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--budget", type=float, default=0.2, help="part of the grid's full cost")
    parser.add_argument(
        "--warm-start",
        type=Path,
        help="the table that freeze-thaw-warm and freeze-thaw-misled have searched before",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="file of courses to append to")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    return parser


def _table(path: Path) -> Table:
    try:
        return Table(path)
    except (OSError, ValueError) as error:
        sys.exit(f"--table: {error}")


def _check_method(method: str, options: argparse.Namespace) -> None:
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


def _known(options: argparse.Namespace, tables: Iterable[Table]) -> dict[Key, Course]:
    """The courses in the file of ``--out`` that come as far as the budget."""
    if not options.out or not options.out.exists():
        return {}
    costs = {
        table.name: (options.budget * table.grid_epochs, options.budget * table.grid_seconds)
        for table in tables
    }
    return {
        key: course
        for key, course in Course.read(options.out).items()
        if course.table in costs and course.reaches(*costs[course.table])
    }


if __name__ == "__main__":
    main()
