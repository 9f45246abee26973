"""The test classes that are recognised worst."""

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile


@dataclass(frozen=True)
class ClassRecall:
    """R@1 of a test class.

    Attributes:
        name: The class's.
        queries: Its queries.
        hits: Those whose nearest image is of the class.
        low: Lower end of the 95% interval of R@1, in [0, 1] (Wilson, JASA 1927).
        high: Upper end.
    """

    name: str
    queries: int
    hits: int
    low: float
    high: float

    @property
    def recall(self) -> float:
        """R@1, in [0, 1]."""
        return self.hits / self.queries


def class_recalls(embeddings: EmbeddingsFile) -> list[ClassRecall]:
    """R@1 of each test class that has queries, the worst first: that whose interval ends lowest."""
    raise NotImplementedError


def worst_classes(recalls: Sequence[ClassRecall]) -> Drawn | Missing:
    """R@1 of the worst classes with its interval and the number of queries.

    Args:
        recalls: As `class_recalls` gives them.
    """
    raise NotImplementedError
