"""Which parameters and pairs of a search come first in its figures."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from histsearch.figures.searched_study import SearchedStudy
from histsearch.figures.value_axis import value_axis
from histsearch.search.standing import Share

Pair = tuple[str, str]


class Importance:
    """The order of a search's parameters, and of pairs of them.

    It is that of their shares in the variance of the expected score; where these aren't known, that
    of the correlation ratio: which part of the trials' variance lies between the parameter's cells.

    Args:
        search: The search.
        shares: As its standing has them; empty where they aren't known.
    """

    def __init__(self, search: SearchedStudy, shares: Sequence[Share]) -> None:
        self._search = search
        self._shares = {frozenset(one.parameters): one.share for one in shares}

    @property
    def parameters(self) -> list[str]:
        """The parameters, the most important first; of equals in the order of the space."""
        return sorted(self._search.search, key=lambda name: -self._of[name])

    @property
    def pairs(self) -> list[Pair]:
        """The pairs, the most important first: those that interact, and whose both parts matter.

        By the share of their interaction, as far as known, and the geometric mean of their own.
        """
        return sorted(combinations(self._search.search, 2), key=lambda pair: -self._of_pair(pair))

    def _of_pair(self, pair: Pair) -> float:
        one, two = (self._of[name] for name in pair)
        return math.sqrt(one * two) + self._shares.get(frozenset(pair), 0.0)

    @cached_property
    def _of(self) -> dict[str, float]:
        if self._shares:
            return {name: self._shares.get(frozenset((name,)), 0.0) for name in self._search.search}
        return {name: self._correlation_ratio(name) for name in self._search.search}

    def _correlation_ratio(self, name: str) -> float:
        trials = [trial for trial in self._search.scored if name in trial.params]
        values = [trial.params[name] for trial in trials]
        cells = value_axis(self._search.search[name], values)
        scores: dict[Any, list[float]] = {}
        for trial, value in zip(trials, values, strict=True):
            if trial.score is not None:
                scores.setdefault(cells.cell(value), []).append(trial.score)
        if not scores:
            return 0.0
        everything = np.concatenate([np.array(one) for one in scores.values()])
        variance = float(everything.var())
        between = sum(
            len(one) * float(np.mean(one) - everything.mean()) ** 2 for one in scores.values()
        )
        return between / len(everything) / variance if variance else 0.0
