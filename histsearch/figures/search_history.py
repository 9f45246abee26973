"""The scores of a search's trials, in the order in which they ran."""

from typing import Literal

from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.searched_study import SearchedStudy

Against = Literal["trials", "hours"]


def search_history(search: SearchedStudy, against: Against = "trials") -> Drawn | Missing:
    """Each trial's best score, the highest so far, and the winner's trials.

    Args:
        search: The search.
        against: Whether by number of trials, or by device-hours spent.
    """
    raise NotImplementedError
