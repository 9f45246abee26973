"""The ranks of the images that queries look for."""

# M = gallery, Q = queries in a chunk, R = images of the largest class among the queries'
# B = blocks of the gallery, G = images in a block, J = groups in a block, K = groups kept
# S = images in a group, C = images of the groups kept, X = any number of places

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from histsearch.retrieval.similarity import GROUPS, SimilarityChunk

_NEVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Ranking:
    """The gallery in the order of its similarity to some queries; ranks count from 1.

    A tie counts against a model: an image of another class that is exactly as near as one of the
    query's class ranks before it, which makes every figure independent of the order of the images
    and gives collapsed embeddings no credit. Similarities tie that are equal as they were computed:
    of embeddings in one direction whose lengths differ, rounding may rank one before the other. A
    query never ranks itself.

    Attributes:
        chunk: Similarities of the queries to the gallery.
    """

    chunk: SimilarityChunk

    @cached_property
    def nearest_rank_Q(self) -> Tensor:
        """(Q,) ranks of the nearest image of each query's class; endless where there is none."""
        nearest_Q1 = self._same_class_QR.amax(dim=1, keepdim=True)
        as_near_Q = -_count(self._same_class_QR >= nearest_Q1)
        for similarity_QG in self.chunk.similarity_BQG:
            as_near_Q += _count(similarity_QG >= nearest_Q1)
        return (1 + as_near_Q.long()).masked_fill(nearest_Q1.squeeze(1).isneginf(), _NEVER)

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

    def nearest(self, count: int) -> Tensor:
        """Return (Q, count): places in the gallery of the nearest images, nearest first.

        It is -1 where there are fewer. Of a tie, images of other classes come first, so that the
        nearest image is of the query's class where `nearest_rank_Q` is 1.
        """
        if not count:
            return self.chunk.labels_Q.new_empty(len(self.chunk.labels_Q), 0)
        place_QR, _ = self._class_places
        rival_QC = self._places_of_nearest_groups(count)
        with self._without_own_class():
            rivals = self._take(rival_QC).topk(min(count, rival_QC.shape[1]))
        own = self._same_class_QR.topk(min(count, place_QR.shape[1]))
        similarity_QX = torch.cat([rivals.values, own.values], dim=1)
        place_QX = torch.cat(
            [rival_QC.gather(1, rivals.indices), place_QR.gather(1, own.indices)], dim=1
        )
        order = similarity_QX.sort(dim=1, descending=True, stable=True)
        nearest_QX = place_QX.gather(1, order.indices).masked_fill_(order.values.isneginf(), -1)
        missing = max(0, count - nearest_QX.shape[1])
        return F.pad(nearest_QX[:, :count], (0, missing), value=-1)

    @cached_property
    def _class_ranks(self) -> tuple[Tensor, Tensor]:
        """Return class sizes and ranks, without a mask of all similarities or a sort of them."""
        class_size_Q = self._same_class_QR.isfinite().sum(dim=1)
        depth = max(1, int(class_size_Q.max()))
        nearest_QR = self._same_class_QR.sort(dim=1, descending=True).values[:, :depth].contiguous()
        rivals_QR = self._largest_rivals(depth)
        # Rivals as near or nearer. Up to R of them were kept, enough to tell whether a rank exceeds
        # R. searchsorted counts the smaller ones in ascending order.
        ahead_QR = rivals_QR.shape[1] - torch.searchsorted(rivals_QR.flip(1), nearest_QR)
        return class_size_Q, torch.arange(1, depth + 1, device=ahead_QR.device) + ahead_QR

    @cached_property
    def _same_class_QR(self) -> Tensor:
        """(Q, R) similarities to the images of each query's class, -inf where there is none."""
        place_QR, is_there_QR = self._class_places
        return self._take(place_QR).masked_fill_(~is_there_QR, -torch.inf)

    def _largest_rivals(self, depth: int) -> Tensor:
        """Return (Q, depth) similarities to the nearest images of other classes, nearest first.

        The nearest ones of all are among the groups whose nearest ones are nearest. Groups are
        found with one look at each similarity.
        """
        with self._without_own_class():
            candidates_QC = self._nearest_groups(depth)
        return candidates_QC.topk(min(depth, candidates_QC.shape[1])).values

    def _nearest_groups(self, count: int) -> Tensor:
        """Return (Q, C): a copy of similarities to the images of so many groups, or of all."""
        similarity_BQG = self.chunk.similarity_BQG
        if self._has_no_more_groups(count):
            return torch.cat(list(similarity_BQG), dim=1)
        first_QK = self._flat(self._first_of_nearest_groups(count))
        return similarity_BQG.view(-1)[(first_QK[:, :, None] + self._step_S).flatten(1)]

    def _places_of_nearest_groups(self, count: int) -> Tensor:
        """Return (Q, C): the places of the images of so many groups, or of all."""
        if self._has_no_more_groups(count):
            blocks, queries, size = self.chunk.similarity_BQG.shape
            return torch.arange(blocks * size, device=self._step_S.device).expand(queries, -1)
        return (self._first_of_nearest_groups(count)[:, :, None] + self._step_S).flatten(1)

    def _first_of_nearest_groups(self, count: int) -> Tensor:
        """Return (Q, K): the place of the first image of each."""
        _, _, size = self.chunk.similarity_BQG.shape
        groups = size // GROUPS
        best_QX = self._best_of_groups_BQJ.transpose(0, 1).flatten(1)
        nearest_QK = best_QX.topk(count, sorted=False).indices
        return nearest_QK // groups * size + nearest_QK % groups

    def _has_no_more_groups(self, count: int) -> bool:
        blocks, _, size = self.chunk.similarity_BQG.shape
        return count >= blocks * (size // GROUPS)

    @cached_property
    def _best_of_groups_BQJ(self) -> Tensor:
        """(B, Q, J) similarities to the nearest image of another class in each group.

        Group j of a block are its images j, j + J, j + 2 J, ...
        """
        similarity_BQG = self.chunk.similarity_BQG
        blocks, queries, size = similarity_BQG.shape
        with self._without_own_class():
            return similarity_BQG.view(blocks, queries, GROUPS, size // GROUPS).amax(dim=2)

    @property
    def _step_S(self) -> Tensor:
        """(S,) how far the images of a group stand behind its first."""
        similarity_BQG = self.chunk.similarity_BQG
        _, _, size = similarity_BQG.shape
        return torch.arange(0, size, size // GROUPS, device=similarity_BQG.device)

    @contextmanager
    def _without_own_class(self) -> Iterator[None]:
        """Take the images of each query's class out of the similarities within the block."""
        place_QR, is_there_QR = self._class_places
        kept_QR = self._take(place_QR)
        # The place of a class that the gallery lacks is that of a rival.
        self._put(place_QR, kept_QR.masked_fill(is_there_QR[:, :1], -torch.inf))
        try:
            yield
        finally:
            self._put(place_QR, kept_QR)

    def _take(self, place_QX: Tensor) -> Tensor:
        return self.chunk.similarity_BQG.view(-1)[self._flat(place_QX)]

    def _put(self, place_QX: Tensor, value: Tensor) -> None:
        self.chunk.similarity_BQG.view(-1)[self._flat(place_QX)] = value

    def _flat(self, place_QX: Tensor) -> Tensor:
        """Return (Q, X): where in memory the similarities to some places in the gallery lie."""
        _, queries, size = self.chunk.similarity_BQG.shape
        query_Q1 = torch.arange(queries, device=place_QX.device)[:, None]
        return (place_QX // size * queries + query_Q1) * size + place_QX % size

    @cached_property
    def _class_places(self) -> tuple[Tensor, Tensor]:
        """(Q, R) places in the gallery of the images of each query's class.

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


def _count(is_QX: Tensor) -> Tensor:
    """Return (Q,) how many are true; int64 would take twice as long."""
    return is_QX.sum(dim=1, dtype=torch.int32)
