"""R@K, the share of queries with an image of their class among their K nearest."""

# N = queries, M = gallery, D = embedding size, Q = queries in a chunk

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from histsearch.retrieval.similarity import SimilarityChunk, similarity_chunks

_NEVER = torch.iinfo(torch.int64).max


def _do_nothing() -> None:
    return None


@torch.no_grad()
def recall_at_k(
    embeddings_ND: Tensor,
    labels_N: Tensor,
    ks: Sequence[int],
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
    on_chunk: Callable[[], object] = _do_nothing,
) -> dict[int, float]:
    """R@K by cosine similarity (Oh Song et al., CVPR 2016, section 5).

    Without a gallery each query ranks the other queries, never itself. A query with no other
    image of its class counts as a miss. So does a tie: an image of another class that is exactly
    as near as the nearest of the query's class ranks before it, which makes the figure
    independent of the order of the images and gives collapsed embeddings no credit.

    Args:
        embeddings_ND: (N, D) embeddings of the queries, of any length and on any device.
        labels_N: (N,) their classes.
        ks: Every K to report, 1 or above; a K beyond the gallery's size is allowed.
        gallery_MD: (M, D) embeddings to rank instead, as in In-Shop.
        gallery_labels_M: (M,) their classes, numbered as ``labels_N``.
        on_chunk: Called after each part of the queries, as 60,000 images take a minute on a CPU.

    Returns:
        R@K in [0, 1] for every K.

    Raises:
        ValueError: If a K is below 1, shapes don't fit or embeddings aren't finite.
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"every K of R@K must be 1 or above, not {min(ks)}")
    chunks = similarity_chunks(embeddings_ND, labels_N, gallery_MD, gallery_labels_M)
    ranks = []
    for chunk in chunks:
        ranks.append(_rank_of_nearest(chunk))
        on_chunk()
    rank_N = torch.cat(ranks)
    return {k: int((rank_N <= k).sum()) / len(rank_N) for k in ks}


def _rank_of_nearest(chunk: SimilarityChunk) -> Tensor:
    """Return the (Q,) ranks, from 1, of the nearest image of each query's class."""
    nearest_Q1 = chunk.same_class_QM.amax(dim=1, keepdim=True)
    rank_Q = 1 + (chunk.other_class_QM >= nearest_Q1).sum(dim=1)
    return rank_Q.masked_fill(nearest_Q1.squeeze(1).isneginf(), _NEVER)
