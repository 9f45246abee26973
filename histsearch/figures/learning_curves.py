"""The learning curves of a search's trials."""

from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.searched_study import SearchedStudy


def learning_curves(search: SearchedStudy) -> Drawn | Missing:
    """Score by epoch: complete trials strong, unfinished ones faded, the winner's marked."""
    raise NotImplementedError
