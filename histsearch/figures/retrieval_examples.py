"""Queries with the images that are nearest to them."""

from collections.abc import Callable

from PIL.Image import Image

from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile


def retrieval_examples(
    embeddings: EmbeddingsFile, thumbnail: Callable[[str], Image | None], seed: int = 0
) -> Drawn | Missing:
    """Some queries whose nearest image is of their class, and some where it isn't.

    Args:
        embeddings: Those of a retraining's trial.
        thumbnail: Gives the image at a path relative to the data set's folder; None where it can't
            be reached.
        seed: Chooses the queries.
    """
    raise NotImplementedError
