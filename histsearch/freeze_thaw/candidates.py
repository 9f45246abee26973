"""The configurations that a search chooses from, and how far they are apart."""

# G = configurations, D = parameters, P = places in one parameter

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.axes import Axis
from histsearch.freeze_thaw.parameters import Parameter
from histsearch.freeze_thaw.trials import Configuration

MOST = 1024
"""Configurations that are looked at in one decision; of a larger space, a part drawn anew, and more
only when half as many were tried."""

_NEIGHBOURS = 256  # of a large space's candidates, those drawn around its best configurations
_NEW = 512  # of a large space's candidates, those drawn at least


class SearchSpace:
    """The parameters of a search.

    Args:
        parameters: What each may be, by name.
        listed: All configurations that can be trained, where these are some of all only.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        listed: Sequence[Configuration] | None = None,
    ) -> None:
        self.parameters = dict(parameters)
        self.listed = None if listed is None else list(listed)
        self.names = tuple(parameters)
        self._axes = {name: Axis(parameter) for name, parameter in parameters.items()}
        self.distances_D = [axis.distances_PP for axis in self._axes.values()]
        self.alike_D = [axis.alike_PP for axis in self._axes.values()]
        sizes = [axis.size for axis in self._axes.values()]
        self._size = None if None in sizes else math.prod(size for size in sizes if size)

    def key(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """What tells a configuration from others."""
        return tuple(configuration[name] for name in self.names)

    def part(self, params: Mapping[str, Any]) -> Configuration:
        """The parameters of this search among others."""
        return {name: params[name] for name in self.names if name in params}

    def holds(self, configuration: Mapping[str, Any]) -> bool:
        """Whether it is complete, and each value one of its parameter's."""
        return all(
            name in configuration and parameter.holds(configuration[name])
            for name, parameter in self.parameters.items()
        )

    @property
    def is_small(self) -> bool:
        """Whether all of it is looked at in every decision."""
        return self.listed is not None or (self._size is not None and self._size <= MOST)

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
        if self.is_small:
            # A value of a range may have been written with another rounding.
            known = {self.key(one): one for one in [*self._whole(), *tried]}
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

    def _whole(self) -> list[Configuration]:
        if self.listed is not None:
            return self.listed
        values = [axis.all_values() for axis in self._axes.values()]
        return [dict(zip(self.names, one, strict=True)) for one in product(*values)]

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
        space: Where they are from.
        configurations: One a row.
        places_GD: Where each stands in each parameter.
        distances_D: Of each parameter, the distances between its places, in [0, 1].
    """

    def __init__(self, space: SearchSpace, configurations: list[Configuration]) -> None:
        self.space = space
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
        for places_G, alike_PP in zip(self.places_GD.T, self.space.alike_D, strict=True):
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
        if any(name not in configuration for name in self.space.names):
            return None
        return self._row_of.get(self.space.key(configuration))
