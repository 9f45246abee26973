"""A table with less luck, or with other luck.

    python -m benchmarks.search.luck --table T.jsonl --part 0.3 > quiet.jsonl
    python -m benchmarks.search.luck --table T.jsonl --shuffle 1 > other.jsonl

``--part`` of what a run strays from the smoothed curve is left; with ``--shuffle`` the runs
exchange their strays. The first run of each configuration is kept, so that a search sees one seed,
as in most users' tables.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.table import PERCENT, Table
from benchmarks.search.table_file import lines_of


def change_luck(path: Path, part: float, shuffle: int | None = None) -> Iterator[str]:
    """The lines of the new table.

    Args:
        path: A table.
        part: What is left of a run's strays, from 0 to 1.
        shuffle: Seed of an exchange of strays between the runs; None for none.

    Raises:
        OSError: The table can't be read.
        ValueError: It isn't one.
    """
    table = Table(path)
    true_GE = table.truth.curves_GT / PERCENT
    first: dict[int, dict[str, Any]] = {}
    for line in lines_of(path):
        first.setdefault(table.row(line["params"]), line)
    rows = list(first)
    donors = rows if shuffle is None else np.random.default_rng(shuffle).permutation(rows).tolist()
    for row, donor in zip(rows, donors, strict=True):
        curve_E = np.array(first[donor]["curve"] or [0.0])
        smooth_E, donors_E = true_GE[row, : len(curve_E)], true_GE[donor, : len(curve_E)]
        moved_E = np.clip(smooth_E + part * (curve_E - donors_E), 0.0, 1.0)
        yield json.dumps({**first[row], "curve": moved_E.round(4).tolist()})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--part", type=float, default=1.0)
    parser.add_argument("--shuffle", type=int, metavar="SEED")
    options = parser.parse_args()
    if not 0.0 <= options.part <= 1.0:
        sys.exit(f"--part: found {options.part}, allowed: a number from 0 to 1")
    try:
        print("\n".join(change_luck(options.table, options.part, options.shuffle)))
    except (OSError, ValueError) as error:
        sys.exit(f"--table: {error}")


if __name__ == "__main__":
    main()
