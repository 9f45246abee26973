"""R-Precision and MAP@R, which score the whole ranking of a query's class."""

# N = queries, M = gallery, D = embedding size, Q = queries in a chunk, R = largest class size,
# S = the two scores

from typing import NamedTuple

import torch
from torch import Tensor

from histsearch.retrieval.similarity import SimilarityChunk, similarity_chunks


class RankingQuality(NamedTuple):
    """Means over all queries, each in [0, 1].

    Attributes:
        r_precision: Share of the query's class among its R nearest, R being the number of images
            of that class in the gallery.
        map_at_r: Mean average precision at R: the precision at each of the first R ranks that
            holds an image of the query's class, summed and divided by R.
    """

    r_precision: float
    map_at_r: float


@torch.no_grad()
def ranking_quality(
    embeddings_ND: Tensor,
    labels_N: Tensor,
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
) -> RankingQuality:
    """R-Precision and MAP@R by cosine similarity.

    As in Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, section 3.1. Lone queries
    and ties are treated as `histsearch.retrieval.recall.recall_at_k` treats them: a query without
    another image of its class scores 0, and images of other classes win ties.

    Args:
        embeddings_ND: (N, D) embeddings of the queries, of any length and on any device.
        labels_N: (N,) their classes.
        gallery_MD: (M, D) embeddings to rank instead, as in In-Shop.
        gallery_labels_M: (M,) their classes, numbered as ``labels_N``.

    Raises:
        ValueError: If shapes don't fit or embeddings aren't finite.
    """
    chunks = similarity_chunks(embeddings_ND, labels_N, gallery_MD, gallery_labels_M)
    scores_SN = torch.cat([_scores(chunk) for chunk in chunks], dim=1)
    r_precision, map_at_r = scores_SN.mean(dim=1).tolist()
    return RankingQuality(r_precision, map_at_r)


def _scores(chunk: SimilarityChunk) -> Tensor:
    """Return (S, Q) float64: R-Precision and average precision at R of each query."""
    class_size_Q1 = chunk.same_class_QM.isfinite().sum(dim=1, keepdim=True)
    depth = max(1, int(class_size_Q1.max()))
    nearest_QR = chunk.same_class_QM.topk(depth).values
    rivals_QR = chunk.other_class_QM.topk(depth).values
    place_R = torch.arange(1, depth + 1, device=nearest_QR.device)
    # Images of other classes as near or nearer. Up to R of them were kept, enough to tell whether
    # a rank exceeds R. searchsorted counts the smaller ones in ascending order.
    rivals_ahead_QR = depth - torch.searchsorted(rivals_QR.flip(1), nearest_QR)
    rank_QR = place_R + rivals_ahead_QR
    hit_QR = rank_QR <= class_size_Q1
    precision_QR = torch.where(hit_QR, place_R / rank_QR.double(), 0.0)
    sums_SQ = torch.stack([hit_QR.double().sum(dim=1), precision_QR.sum(dim=1)])
    return sums_SQ / class_size_Q1.squeeze(1).clamp(min=1)
