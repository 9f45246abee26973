"""A method's proposal as a configuration that a table has."""

import numpy as np

from benchmarks.search.columns import Params
from histsearch.freeze_thaw.candidates import SearchSpace


class ListedPoints:
    """Of listed points the nearest to a proposal that wasn't taken yet.

    Nearness is the sum over the parameters of the distances that the space gives them.

    Args:
        space: What is searched.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._points = space.listed
        if self._points is not None:
            self._places_GD = space.places(self._points)
            self._is_free_G = np.ones(len(self._points), dtype=bool)

    def take(self, proposal: Params) -> Params:
        """The proposal itself where the whole space can be trained."""
        if self._points is None:
            return proposal
        places_D = self._space.places([proposal])[0]
        distance_G = sum(
            distances_PP[place, self._places_GD[:, which]]
            for which, (distances_PP, place) in enumerate(
                zip(self._space.distances_D, places_D, strict=True)
            )
        )
        if not self._is_free_G.any():
            self._is_free_G[:] = True
        row = int(np.where(self._is_free_G, distance_G, np.inf).argmin())
        self._is_free_G[row] = False
        return dict(self._points[row])
