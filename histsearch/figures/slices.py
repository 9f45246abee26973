"""Scores by the value of each searched parameter."""

from collections.abc import Sequence

from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.searched_study import SearchedStudy
from histsearch.search.standing import Share


def slices(search: SearchedStudy, shares: Sequence[Share] = ()) -> Drawn | Missing:
    """A panel for each searched parameter, those that matter most first.

    Args:
        search: The search.
        shares: How much parameters matter; empty where that isn't known.
    """
    raise NotImplementedError
