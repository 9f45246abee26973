"""A map of embeddings in two dimensions, by t-SNE (van der Maaten & Hinton, JMLR 2008)."""

from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile


def embedding_map(embeddings: EmbeddingsFile, seed: int = 0) -> Drawn | Missing:
    """Embeddings of training and test classes on one map, a panel each.

    Args:
        embeddings: Those of a retraining's trial.
        seed: Chooses the images, where there are more than 2,000, and seeds t-SNE.
    """
    raise NotImplementedError
