"""The space that a table's runs span, learned from their parameters."""

# N = distinct configurations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from histsearch.freeze_thaw.parameters import Choices, Parameter, Range

Value = int | float | str | bool
Params = dict[str, Value]

_MOST_CHOICES = 16  # distinct numbers of a listed parameter that count as a list, not as a range
_FEWEST_OF_GRID = 0.5  # of all products of values, for a table to count as a grid
_REPEATS = (
    2.0  # configurations a group of equal values, from which on a column may follow of others
)


def without_derived(configurations: Sequence[Params]) -> list[str]:
    """Names of the parameters, without those whose value follows from others' values.

    A number of steps follows from epochs and batch size, say. A column follows from one or two
    others if it is the same wherever these are, and they repeat often enough to tell. Of columns
    that follow from one another, the one with the most values goes.
    """
    names = list(configurations[0])
    values = {name: len({one[name] for one in configurations}) for name in names}
    kept = [name for name in names if values[name] > 1]
    for name in sorted(kept, key=lambda name: values[name], reverse=True):
        others = [other for other in kept if other != name]
        if _follows(name, others, configurations):
            kept.remove(name)
    return kept or names[:1]


def _follows(name: str, others: Sequence[str], configurations: Sequence[Params]) -> bool:
    sets = [pair for number in (1, 2) for pair in combinations(others, number)]
    for determining in sets:
        found: dict[tuple[Value, ...], set[Value]] = {}
        for one in configurations:
            found.setdefault(tuple(one[other] for other in determining), set()).add(one[name])
        repeats = len(configurations) / len(found) >= _REPEATS
        if repeats and all(len(group) == 1 for group in found.values()):
            return True
    return False


def spanned_by(configurations: Sequence[Params]) -> tuple[dict[str, Parameter], bool]:
    """The parameters of some configurations, and whether these are listed points of ranges.

    Else they are a grid, and each parameter has the values that occur.
    """
    names = without_derived(configurations)
    values = {name: _distinct(one[name] for one in configurations) for name in names}
    points = {tuple(one[name] for name in names) for one in configurations}
    listed = len(points) < _FEWEST_OF_GRID * math.prod(map(len, values.values()))
    if not listed:
        return {name: Choices(found) for name, found in values.items()}, False
    return {name: _parameter(found) for name, found in values.items()}, True


def _distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(sorted(set(values), key=_order))


def _order(value: Value) -> tuple[str, float, str]:
    if isinstance(value, int | float):
        return "", float(value), ""
    return "text", 0.0, value


def _parameter(values: tuple[Value, ...]) -> Parameter:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or len(values) <= _MOST_CHOICES:
        return Choices(values)
    whole = all(isinstance(value, int) for value in values)
    return Range(
        *(numbers[0], numbers[-1]),
        step=1 if whole else None,
        log=numbers[0] > 0 and _unevenness(np.log(numbers)) < _unevenness(np.array(numbers)),
        whole=whole,
    )


def _unevenness(values_N: np.ndarray) -> float:
    """How far ascending values are from even ones, by Kolmogorov and Smirnov's distance."""
    span = values_N[-1] - values_N[0]
    scaled_N = (values_N - values_N[0]) / span
    return float(np.abs(scaled_N - np.linspace(0, 1, len(values_N))).max())
