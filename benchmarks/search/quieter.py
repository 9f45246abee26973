"""A table with less luck: each curve moved towards the smoothed one of its configuration.

    python -m benchmarks.search.quieter --table T.jsonl --part 0.3 > quiet.jsonl

``--part`` of what a run strays from the smoothed curve is left. The first run of each configuration
is kept, so that a search sees one seed, as in most users' tables.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.search.table import PERCENT, Table, lines_of


def quieter(path: Path, part: float) -> Iterator[str]:
    """The lines of the new table.

    Args:
        path: A table.
        part: What is left of a run's strays, from 0 to 1.

    Raises:
        OSError: The table can't be read.
        ValueError: It isn't one.
    """
    table = Table(path)
    smooth_GE = table.smooth_GE / PERCENT
    seen: set[int] = set()
    for line in lines_of(path):
        row = table.row(line["params"])
        if row in seen:
            continue
        seen.add(row)
        curve_E = np.array(line["curve"])
        smooth_E = smooth_GE[row, : len(curve_E)]
        moved_E = np.clip(smooth_E + part * (curve_E - smooth_E), 0.0, 1.0)
        yield json.dumps({**line, "curve": moved_E.round(4).tolist()})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--part", type=float, default=0.3)
    options = parser.parse_args()
    if not 0.0 <= options.part <= 1.0:
        sys.exit(f"--part: found {options.part}, allowed: a number from 0 to 1")
    try:
        print("\n".join(quieter(options.table, options.part)))
    except (OSError, ValueError) as error:
        sys.exit(f"--table: {error}")


if __name__ == "__main__":
    main()
