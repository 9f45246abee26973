"""The values of one parameter, and how far they are apart."""

# P = places in one parameter

import math
from typing import Any

import numpy as np

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.matern import matern
from histsearch.freeze_thaw.parameters import Choices, Parameter, Range

_PLACES = 65  # to which the values of a range are rounded when distances are taken
_STEP = 0.15  # how far such a neighbour lies off in a range, as a part of it
_ALIKE = 0.15  # how far in a range, as a part of it, what a value does is told by another


class Axis:
    """One parameter, and the distances between its values.

    The values of a list keep their order when they are numbers, and their place in it counts;
    other values are as far from one another as a list's ends.
    """

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self.values: tuple[Any, ...] | None = None
        if isinstance(parameter, Choices):
            choices = parameter.values
            numbers = all(
                isinstance(value, int | float) and not isinstance(value, bool) for value in choices
            )
            self._ordered = numbers
            self.values = tuple(sorted(choices, key=float)) if numbers else choices
            places_P = np.arange(len(choices))
            self.distances_PP = np.abs(np.subtract.outer(places_P, places_P)) / max(
                1, len(choices) - 1
            )
            if not numbers:
                self.distances_PP = (self.distances_PP > 0).astype(float)
        else:
            places_P = np.arange(_PLACES)
            self.distances_PP = np.abs(np.subtract.outer(places_P, places_P)) / (_PLACES - 1)

    @property
    def alike_PP(self) -> Array:
        """(P, P) in [0, 1], how alike places are: in a list equal ones, in a range near ones."""
        if self.values is not None:
            return np.eye(len(self.values))
        return matern(self.distances_PP / _ALIKE)

    @property
    def size(self) -> int | None:
        """Number of values; None for a range of real numbers."""
        if self.values is not None:
            return len(self.values)
        step = self._range.step
        return None if step is None else round((self._range.high - self._range.low) / step) + 1

    @property
    def _range(self) -> Range:
        assert isinstance(self.parameter, Range)
        return self.parameter

    def all_values(self) -> tuple[Any, ...]:
        """Every value, in order."""
        if self.values is not None:
            return self.values
        low, high, step = self._range.low, self._range.high, self._range.step
        assert step is not None
        assert self.size is not None
        if self._range.whole:
            return tuple(range(int(low), int(high) + 1, int(step)))
        # Without the digits that only binary fractions have, as in 0.1 + 2 · 0.1.
        rounded = (float(f"{low + index * step:.15g}") for index in range(self.size))
        return tuple(min(max(value, low), high) for value in rounded)

    def position(self, value: Any) -> float:
        """Where a value lies, from 0 to 1."""
        if self.values is not None:
            return self.values.index(value) / max(1, len(self.values) - 1)
        low, high = self._range.low, self._range.high
        if self._range.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return float((value - low) / (high - low)) if high > low else 0.0

    def place(self, value: Any) -> int:
        """Row of the distances."""
        return round(self.position(value) * (len(self.distances_PP) - 1))

    def nearest_place(self, value: Any) -> int | None:
        """Row of the distances of what is nearest to any value; None if nothing is like it."""
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if self.values is None:
            if not numeric or (self._range.log and value <= 0):
                return None
            return self.place(min(max(value, self._range.low), self._range.high))
        if value in self.values:
            return self.place(value)
        if not numeric or not self._ordered:
            return None
        return round(float(np.interp(value, self.values, np.arange(len(self.values)))))

    def _value(self, position: float) -> Any:
        """The value that lies there, on the range's grid where it has one."""
        low, high = self._range.low, self._range.high
        if self._range.log:
            value = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
        else:
            value = low + position * (high - low)
        if self._range.step is not None:
            value = low + round((value - low) / self._range.step) * self._range.step
        if self._range.whole:
            return int(min(max(round(value), low), high))
        return float(min(max(value, low), high))

    def draw(self, rng: np.random.Generator) -> Any:
        """Any value."""
        if self.values is not None:
            return self.values[int(rng.integers(len(self.values)))]
        return self._value(float(rng.random()))

    def beside(self, value: Any, rng: np.random.Generator) -> Any:
        """A value not far from one: the next in a list, any in a list without an order."""
        if self.values is None:
            return self._value(float(np.clip(self.position(value) + rng.normal() * _STEP, 0, 1)))
        if not self._ordered:
            return self.draw(rng)
        index = self.values.index(value) + int(rng.choice((-1, 1)))
        return self.values[min(max(index, 0), len(self.values) - 1)]
