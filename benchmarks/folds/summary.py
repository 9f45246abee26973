"""What the lines of the benchmark of folds say."""

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from histsearch.reports.statistics import Estimate, estimate

Line = dict[str, Any]


def summary(lines: Sequence[Line]) -> str:
    """How often the winners differ, and which are better on the test characters."""
    tests = _tests(lines)
    searches = [line for line in lines if "search" in line["of"]]
    pairs: dict[tuple[int, int], dict[int, Line]] = {}
    for line in searches:
        of = line["of"]
        pairs.setdefault((of["search"], of["seed"]), {})[min(of["folds"], 2)] = line
    whole = {key: pair for key, pair in pairs.items() if len(pair) == 2}
    differ = sum(pair[1]["winner"] != pair[2]["winner"] for pair in whole.values())
    text = [f"the winners differ in {differ} of {len(whole)} pairs of searches"]
    gains: dict[int, list[float]] = {}
    optimism: dict[int, dict[int, list[float]]] = {1: {}, 2: {}}
    for (repeat, _), pair in whole.items():
        found = {kind: tests.get(_key(repeat, line)) for kind, line in pair.items()}
        if found[1] is None or found[2] is None:
            continue
        gains.setdefault(repeat, []).append(found[2] - found[1])
        for kind, line in pair.items():
            tested = found[kind]
            assert tested is not None
            optimism[kind].setdefault(repeat, []).append(line["expected"] - tested)
    if gains:
        text.append(f"four folds minus one, test R@1: {_text(gains)}")
        text.append(f"expected on one fold minus test R@1: {_text(optimism[1])}")
        text.append(f"expected on four folds minus test R@1: {_text(optimism[2])}")
    return "\n".join(text)


def _tests(lines: Sequence[Line]) -> dict[str, float]:
    """The mean R@1 over seeds of each configuration that was tested, by `_key`."""
    found: dict[str, list[float]] = {}
    for line in lines:
        of = line["of"]
        if "test" in of:
            key = json.dumps([of["test"], of["params"], of["epochs"]], sort_keys=True)
            found.setdefault(key, []).append(line["recall"])
    return {key: fmean(recalls) for key, recalls in found.items()}


def _key(repeat: int, search: Line) -> str:
    return json.dumps([repeat, search["winner"], search["length"]], sort_keys=True)


def _text(by_repeat: dict[int, list[float]]) -> str:
    """The mean over repeats, each of which counts once, with its interval."""
    found: Estimate = estimate([fmean(values) for values in by_repeat.values()])
    interval = "" if found.low is None else f", 95% interval {found.low:+.2f} to {found.high:+.2f}"
    return f"{found.mean:+.2f} points{interval} (n = {found.n} repeats)"
