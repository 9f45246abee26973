"""Queries that have an image of their class to find, and those that miss whatever a model does."""

import numpy as np

from histsearch.data.image_set import ImageSet
from histsearch.exceptions import DataError


class LoneQueriesError(DataError):
    """No query of a set of images has an image of its class to find."""


def lone_queries(queries: ImageSet, gallery: ImageSet | None = None) -> int:
    """Number of queries without another image of their class to find.

    Args:
        queries: The images that search.
        gallery: The images they are ranked against, labelled alike; None where the queries are
            ranked against one another.
    """
    size_C = np.bincount(queries.labels_N, minlength=queries.num_classes)
    if gallery is None:
        return int((size_C == 1).sum())
    found_C = np.bincount(gallery.labels_N, minlength=queries.num_classes)
    return int(size_C[found_C == 0].sum())


def check_queries(part: str, queries: ImageSet, gallery: ImageSet | None = None) -> None:
    """Refuse images by which every model has a score of 0.

    Args:
        part: What they are, for the message.
        queries: As in `lone_queries`.
        gallery: As in `lone_queries`.

    Raises:
        LoneQueriesError: No query has an image of its class to find.
    """
    if lone_queries(queries, gallery) < len(queries):
        return
    if gallery is None:
        raise LoneQueriesError(
            f"Each of the {queries.num_classes} {part} classes has one image, so no query finds "
            "another of its class and every score is 0 whatever a model does: add images, or leave "
            "out classes with one image."
        )
    raise LoneQueriesError(
        f"No {part} query has an image of its class in the gallery, so every score is 0 whatever a "
        "model does: add images to the gallery."
    )
