"""The configurations that a search chooses from, and how far they are apart."""

# G = configurations, D = hyperparameters, P = places in one hyperparameter

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.search.curve_model import Array, Integers, matern

MOST = 1024
"""Configurations that are looked at in one decision; of a larger space, a part drawn anew, and more
only when half as many were tried."""

_PLACES = 65  # to which the values of a range are rounded when distances are taken
_NEIGHBOURS = 256  # of a large space's candidates, those drawn around its best configurations
_NEW = 512  # of a large space's candidates, those drawn at least
_STEP = 0.15  # how far such a neighbour lies off in a range, as a part of it
_ALIKE = 0.15  # how far in a range, as a part of it, what a value does is told by another

Configuration = dict[str, Any]


class _Axis:
    """One hyperparameter: its distribution, and the distances between its values.

    The values of a list keep their order when they are numbers, and their place in it counts;
    other values are as far from one another as a list's ends.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        self.values: tuple[Any, ...] | None = None
        if isinstance(distribution, CategoricalDistribution):
            numbers = all(
                isinstance(value, int | float) and not isinstance(value, bool)
                for value in distribution.choices
            )
            choices = distribution.choices
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
    def _range(self) -> FloatDistribution | IntDistribution:
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        return self.distribution

    def all_values(self) -> tuple[Any, ...]:
        """Every value, in order."""
        if self.values is not None:
            return self.values
        low, high, step = self._range.low, self._range.high, self._range.step
        if isinstance(self._range, IntDistribution):
            return tuple(range(int(low), int(high) + 1, int(step or 1)))
        assert self.size is not None
        assert step is not None
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

    def holds(self, value: Any) -> bool:
        """Whether a value is in the domain."""
        try:
            internal = self.distribution.to_internal_repr(value)
        except ValueError:
            return False
        return self.distribution._contains(internal)

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
        if isinstance(self._range, IntDistribution):
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


class SearchSpace:
    """The hyperparameters of a search with their domains."""

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self.names = tuple(distributions)
        self._axes = {name: _Axis(distribution) for name, distribution in distributions.items()}
        self.distances_D = [axis.distances_PP for axis in self._axes.values()]
        self.alike_D = [axis.alike_PP for axis in self._axes.values()]
        sizes = [axis.size for axis in self._axes.values()]
        self._size = None if None in sizes else math.prod(size for size in sizes if size)

    def key(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """What tells a configuration from others."""
        return tuple(configuration[name] for name in self.names)

    def part(self, params: Mapping[str, Any]) -> Configuration:
        """The hyperparameters of this search among others."""
        return {name: params[name] for name in self.names if name in params}

    def holds(self, configuration: Mapping[str, Any]) -> bool:
        """Whether it is complete, and each value in its domain."""
        return all(
            name in configuration and axis.holds(configuration[name])
            for name, axis in self._axes.items()
        )

    def candidates(
        self,
        tried: Iterable[Configuration],
        best: Sequence[Configuration],
        rng: np.random.Generator,
    ) -> "Candidates":
        """What to choose from: all of a small finite space, else what was tried and a new draw.

        Args:
            tried: Configurations that must be among them.
            best: Configurations around which to look closer, in a large space.
            rng: Source of the draw.
        """
        if self._size is not None and self._size <= MOST:
            values = [axis.all_values() for axis in self._axes.values()]
            whole = [dict(zip(self.names, one, strict=True)) for one in product(*values)]
            # A value of a range may have been written with another rounding.
            known = {self.key(one): one for one in [*whole, *tried]}
            return Candidates(self, list(known.values()))
        distinct = {self.key(one): one for one in tried}
        enough = max(MOST, len(distinct) + _NEW)
        for number in range(2 * MOST):
            if len(distinct) >= enough:
                break
            if best and number < _NEIGHBOURS:
                one = self._beside(best[number % len(best)], rng)
            else:
                one = {name: axis.draw(rng) for name, axis in self._axes.items()}
            distinct.setdefault(self.key(one), one)
        return Candidates(self, list(distinct.values()))

    def _beside(self, configuration: Configuration, rng: np.random.Generator) -> Configuration:
        changed = dict(configuration)
        for name in rng.choice(self.names, size=min(2, len(self.names)), replace=False):
            changed[str(name)] = self._axes[str(name)].beside(configuration[str(name)], rng)
        return changed

    def nearest_places(self, configuration: Mapping[str, Any]) -> list[int] | None:
        """Where a configuration of another space would stand; None if a value is like none here."""
        places = [axis.nearest_place(configuration[name]) for name, axis in self._axes.items()]
        known = [place for place in places if place is not None]
        return known if len(known) == len(places) else None

    def places(self, configurations: Sequence[Configuration]) -> Integers:
        """(G, D) row of each value among its axis's distances."""
        return np.array(
            [[axis.place(one[name]) for name, axis in self._axes.items()] for one in configurations]
        )


class Candidates:
    """Configurations to choose from.

    Attributes:
        configurations: One a row.
        places_GD: Where each stands in each hyperparameter.
        distances_D: Of each hyperparameter, the distances between its places, in [0, 1].
    """

    def __init__(self, space: SearchSpace, configurations: list[Configuration]) -> None:
        self._space = space
        self.configurations = configurations
        self.places_GD = space.places(configurations)
        self.distances_D: Sequence[Array] = space.distances_D
        self._row_of = {space.key(one): row for row, one in enumerate(configurations)}

    def chances_of_running(self, ran: Sequence[int], failed: Sequence[int]) -> Array:
        """(G,) how likely a trial of each configuration is not to fail, by its riskiest value.

        A value with r trials that ran and f that failed lets the next one run with the probability
        (r + 1) / (r + f + 1); values near it in a range count in part. One that all configurations
        share tells nothing.

        Args:
            ran: Rows of trials that ran; a row may occur several times.
            failed: Rows of trials that failed.
        """
        chances_G = np.ones(len(self.configurations))
        for places_G, alike_PP in zip(self.places_GD.T, self._space.alike_D, strict=True):
            if np.ptp(places_G) == 0:
                continue
            ran_P, failed_P = (
                alike_PP[:, places_G[list(rows)]].sum(axis=1) for rows in (ran, failed)
            )
            chances_P = (ran_P + 1.0) / (ran_P + failed_P + 1.0)
            chances_G = np.minimum(chances_G, chances_P[places_G])
        return chances_G

    def row(self, configuration: Mapping[str, Any]) -> int | None:
        """A configuration's row; None if it isn't among them."""
        if any(name not in configuration for name in self._space.names):
            return None
        return self._row_of.get(self._space.key(configuration))
