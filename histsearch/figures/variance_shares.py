"""How much each searched parameter, and each pair, matters."""

from collections.abc import Sequence

from histsearch.figures.drawn import Drawn, Missing
from histsearch.search.standing import Share


def variance_shares(shares: Sequence[Share]) -> Drawn | Missing:
    """The share of each parameter and of pairs in the variance of the expected score."""
    raise NotImplementedError
