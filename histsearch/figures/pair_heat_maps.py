"""Mean scores by the values of two searched parameters."""

from collections.abc import Sequence

from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.searched_study import SearchedStudy
from histsearch.search.standing import Share


def pair_heat_maps(search: SearchedStudy, shares: Sequence[Share] = ()) -> Drawn | Missing:
    """A panel for each of the pairs that matter most, six at most.

    Args:
        search: The search.
        shares: How much parameters and pairs matter; empty where that isn't known.
    """
    raise NotImplementedError
