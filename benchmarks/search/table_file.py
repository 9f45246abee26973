"""The file of a table of learning curves: one run a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def lines_of(path: Path) -> Iterator[Line]:
    """The runs of a file as they stand there; `Table` says what a line holds.

    Raises:
        OSError: The file can't be read.
        ValueError: A line isn't a run.
    """
    names = None
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            good = _is_run(line)
        except (ValueError, KeyError, TypeError):
            good = False
        if not good or set(line["params"]) != (names or set(line["params"])):
            raise ValueError(
                f"{path}, line {number}: found {text[:80]!r}, expected an object with params (the "
                "same names in every line), seed, curve (a score in [0, 1] after each epoch, or at "
                "each of ascending steps) and seconds (more than 0)"
            )
        names = set(line["params"])
        yield line


def _is_run(line: Mapping[str, Any]) -> bool:
    params, curve, seconds = line["params"], line["curve"], float(line["seconds"])
    if not (isinstance(params, dict) and isinstance(curve, list) and "seed" in line):
        return False
    steps = line.get("steps", range(1, len(curve) + 1))
    if len(steps) != len(curve) or any(a >= b for a, b in zip([0, *steps], steps, strict=False)):
        return False
    # A run that diverged at once has no curve, and may have taken no time.
    return seconds >= 0 and all(0 <= score <= 1 for score in curve) and (seconds > 0 or not curve)
