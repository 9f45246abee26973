"""The test classes that are taken for each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile


@dataclass(frozen=True)
class Confusion:
    """A test class that is taken for another.

    Attributes:
        name: The queries' class.
        taken_for: The class of the image that is nearest to them.
        count: How many queries these are.
        queries: Queries of the class in all.
    """

    name: str
    taken_for: str
    count: int
    queries: int


def confusions(embeddings: EmbeddingsFile) -> list[Confusion]:
    """Each class and each other that it is taken for, the most frequent pair first."""
    raise NotImplementedError


def confused_classes(found: Sequence[Confusion]) -> Drawn | Missing:
    """The most frequent confusions.

    Args:
        found: As `confusions` gives them.
    """
    raise NotImplementedError
