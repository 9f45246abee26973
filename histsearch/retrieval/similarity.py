"""Cosine similarities of queries to a gallery, in chunks."""

# N = queries, M = gallery, D = embedding size, Q = queries in a chunk

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_SIMILARITIES = 2**24
"""Most entries of a chunk's similarity matrix, which bounds memory whatever the gallery."""


class SimilarityChunk(NamedTuple):
    """Similarities of some queries to the gallery.

    Attributes:
        similarity_QM: Cosine similarity; -inf to a query's own entry, where it belongs to the
            gallery.
        labels_Q: Classes of the queries.
        gallery_labels_M: Classes of the gallery.
    """

    similarity_QM: Tensor
    labels_Q: Tensor
    gallery_labels_M: Tensor


def unit_embeddings(embeddings_ND: Tensor) -> Tensor:
    """L2-normalise embeddings, in float32 or, if they already are, in float64.

    Raises:
        ValueError: If they aren't a non-empty matrix of finite numbers.
    """
    if embeddings_ND.ndim != 2 or not embeddings_ND.numel():
        raise ValueError(f"embeddings must be (N, D), but have shape {tuple(embeddings_ND.shape)}")
    if not torch.isfinite(embeddings_ND).all():
        raise ValueError("embeddings hold NaN or infinite values")
    precision = torch.promote_types(embeddings_ND.dtype, torch.float32)
    return F.normalize(embeddings_ND.detach().to(precision))


def similarity_chunks(
    embeddings_ND: Tensor,
    labels_N: Tensor,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
) -> Iterator[SimilarityChunk]:
    """Compare every query with the gallery, or with the other queries if there is none.

    Args:
        embeddings_ND: (N, D) embeddings of the queries, on any device.
        labels_N: (N,) their classes.
        gallery_MD: (M, D) embeddings of the gallery.
        gallery_labels_M: (M,) their classes, numbered as ``labels_N``.

    Yields:
        Chunks of consecutive queries, N in all.

    Raises:
        ValueError: If shapes don't fit, embeddings aren't finite, or one of the two gallery
            arguments is missing.
    """
    if (gallery_MD is None) != (gallery_labels_M is None):
        raise ValueError("gallery_MD and gallery_labels_M go together")
    queries_ND, query_labels_N = _checked(embeddings_ND, labels_N)
    if gallery_MD is None or gallery_labels_M is None:
        others_MD, other_labels_M = queries_ND, query_labels_N
    else:
        others_MD, other_labels_M = _checked(gallery_MD, gallery_labels_M)
    chunk_size = max(1, CHUNK_SIMILARITIES // len(others_MD))
    for start in range(0, len(queries_ND), chunk_size):
        chunk = slice(start, start + chunk_size)
        similarity_QM = queries_ND[chunk] @ others_MD.T
        if gallery_MD is None:
            similarity_QM.diagonal(start).fill_(-torch.inf)
        yield SimilarityChunk(similarity_QM, query_labels_N[chunk], other_labels_M)


def _checked(embeddings_ND: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    if labels_N.shape != embeddings_ND.shape[:1]:
        raise ValueError(f"{len(embeddings_ND)} embeddings got labels of shape {labels_N.shape}")
    return unit_embeddings(embeddings_ND), labels_N.to(embeddings_ND.device)
