"""Cosine similarities of queries to a gallery, in chunks of queries and blocks of the gallery."""

# N = queries, M = gallery, D = embedding size, Q = queries in a chunk
# B = blocks of the gallery, G = images in a block

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_SIMILARITIES = 2**24
"""Most similarities of a chunk, which bounds memory whatever the gallery."""

GROUPS = 8
"""The images of a block can be taken as so many rows of equal length."""

# A product of this size stays in a processor's cache while it is made and looked through. One with
# the whole gallery at a time takes a core half as long again.
_CHUNK_QUERIES = 512
_BLOCK_IMAGES = 512


class SimilarityChunk(NamedTuple):
    """Similarities of some queries to the gallery.

    Attributes:
        similarity_BQG: Cosine similarity to image g of block b, the image b * G + g of the gallery;
            -inf to a query's own entry, where it belongs to the gallery, and beyond the gallery's
            last image. G is a multiple of `GROUPS`. The next chunk takes the same memory.
        labels_Q: Classes of the queries.
        gallery_labels_M: Classes of the gallery.
    """

    similarity_BQG: Tensor
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
    blocks_BGD = _in_blocks(others_MD)
    chunk_size = _chunk_size(blocks_BGD)
    similarity_BQG = queries_ND.new_empty(len(blocks_BGD), chunk_size, blocks_BGD.shape[1])
    for start in range(0, len(queries_ND), chunk_size):
        query_QD = queries_ND[start : start + chunk_size]
        if len(query_QD) < chunk_size:
            similarity_BQG = query_QD.new_empty(len(blocks_BGD), len(query_QD), blocks_BGD.shape[1])
        for similarity_QG, block_GD in zip(similarity_BQG, blocks_BGD, strict=True):
            torch.mm(query_QD, block_GD.T, out=similarity_QG)
        _fill_places(similarity_BQG, len(others_MD), start if gallery_MD is None else None)
        labels_Q = query_labels_N[start : start + chunk_size]
        yield SimilarityChunk(similarity_BQG, labels_Q, other_labels_M)


def _in_blocks(gallery_MD: Tensor) -> Tensor:
    """Return (B, G, D): the gallery in blocks, the last one filled up with zeros.

    A GPU has no use for more than one block.
    """
    count = len(gallery_MD)
    blocks = 1 if gallery_MD.is_cuda else -(-count // _BLOCK_IMAGES)
    size = GROUPS * -(-count // (blocks * GROUPS))
    missing = blocks * size - count
    return F.pad(gallery_MD, (0, 0, 0, missing)).view(blocks, size, -1)


def _chunk_size(blocks_BGD: Tensor) -> int:
    blocks, size, _ = blocks_BGD.shape
    most = CHUNK_SIMILARITIES // (blocks * size)
    return max(1, most if blocks_BGD.is_cuda else min(most, _CHUNK_QUERIES))


def _fill_places(similarity_BQG: Tensor, count: int, start: int | None) -> None:
    """Take out places beyond the gallery, and the queries' own where these begin at one of it."""
    blocks, queries, size = similarity_BQG.shape
    similarity_BQG[-1, :, count - (blocks - 1) * size :] = -torch.inf
    if start is not None:
        query_Q = torch.arange(queries, device=similarity_BQG.device)
        place_Q = query_Q + start
        similarity_BQG[place_Q // size, query_Q, place_Q % size] = -torch.inf


def _checked(embeddings_ND: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    if labels_N.shape != embeddings_ND.shape[:1]:
        raise ValueError(f"{len(embeddings_ND)} embeddings got labels of shape {labels_N.shape}")
    return unit_embeddings(embeddings_ND), labels_N.to(embeddings_ND.device)
