"""The ranks of the images that queries look for."""

# M = gallery, Q = queries in a chunk, R = images of the largest class among the queries'

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from histsearch.retrieval.similarity import SimilarityChunk

_NEVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Ranking:
    """The gallery in the order of its similarity to some queries; ranks count from 1.

    A tie counts against a model: an image of another class that is exactly as near as one of the
    query's class ranks before it, which makes every figure independent of the order of the images
    and gives collapsed embeddings no credit. A query never ranks itself.

    Attributes:
        chunk: Similarities of the queries to the gallery.
    """

    chunk: SimilarityChunk

    @cached_property
    def nearest_rank_Q(self) -> Tensor:
        """(Q,) ranks of the nearest image of each query's class; endless where there is none."""
        similarity_QM, labels_Q, gallery_labels_M = self.chunk
        same_QM = labels_Q[:, None] == gallery_labels_M
        same_class_QM = similarity_QM.masked_fill(~same_QM, -torch.inf)
        other_class_QM = similarity_QM.masked_fill(same_QM, -torch.inf)
        nearest_Q1 = same_class_QM.amax(dim=1, keepdim=True)
        rank_Q = 1 + (other_class_QM >= nearest_Q1).sum(dim=1)
        return rank_Q.masked_fill(nearest_Q1.squeeze(1).isneginf(), _NEVER)

    @property
    def class_size_Q(self) -> Tensor:
        """(Q,) numbers of images of each query's class that it could find."""
        return self._class_ranks[0]

    @property
    def class_rank_QR(self) -> Tensor:
        """(Q, R) ranks of the images of each query's class, nearest first.

        A rank beyond the query's class size is some number above that, as is that of an image that
        a smaller class doesn't have.
        """
        return self._class_ranks[1]

    @cached_property
    def _class_ranks(self) -> tuple[Tensor, Tensor]:
        """Return class sizes and ranks, without a mask of all similarities or a sort of them."""
        similarity_QM = self.chunk.similarity_QM
        place_QR, is_there_QR = self._class_places()
        same_class_QR = similarity_QM.gather(1, place_QR).masked_fill(~is_there_QR, -torch.inf)
        class_size_Q = same_class_QR.isfinite().sum(dim=1)
        depth = max(1, int(class_size_Q.max()))
        nearest_QR = same_class_QR.sort(dim=1, descending=True).values[:, :depth].contiguous()
        rivals_QR = similarity_QM.scatter(1, place_QR, -torch.inf).topk(depth).values
        # Rivals as near or nearer. Up to R of them were kept, enough to tell whether a rank exceeds
        # R. searchsorted counts the smaller ones in ascending order.
        ahead_QR = depth - torch.searchsorted(rivals_QR.flip(1), nearest_QR)
        return class_size_Q, torch.arange(1, depth + 1, device=ahead_QR.device) + ahead_QR

    def _class_places(self) -> tuple[Tensor, Tensor]:
        """Return (Q, R) places in the gallery of the images of each query's class.

        Also whether an image stands there, as classes smaller than R repeat their last one. The
        place of a class that the gallery lacks is arbitrary.
        """
        _, labels_Q, gallery_labels_M = self.chunk
        sorted_M, order_M = gallery_labels_M.sort(stable=True)
        first_Q1 = torch.searchsorted(sorted_M, labels_Q)[:, None]
        size_Q1 = torch.searchsorted(sorted_M, labels_Q, right=True)[:, None] - first_Q1
        nth_R = torch.arange(max(1, int(size_Q1.max())), device=order_M.device)
        row_QR = first_Q1 + nth_R.minimum((size_Q1 - 1).clamp(min=0))
        return order_M[row_QR.clamp(max=len(order_M) - 1)], nth_R < size_Q1
