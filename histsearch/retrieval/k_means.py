"""K-means on any device, from a greedy k-means++ start as scikit-learn's.

scikit-learn looks for the start in float64 on the CPU, which takes most of its time where clusters
are many.
"""

# N = points, K = clusters, D = dimensions, T = candidates for a centre, P = candidates at hand

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Both are scikit-learn's.
_MOST_ITERATIONS = 300
_TOLERANCE = 1e-4

_CHUNK_DISTANCES = 2**22


def _do_nothing() -> None:
    return None


def k_means(
    points_ND: Tensor,
    clusters: int,
    seed: int,
    on_step: Callable[[], object] = _do_nothing,
) -> Tensor:
    """Return (N,): the cluster of each point, from 0 on.

    Args:
        points_ND: (N, D) points, on any device.
        clusters: Number of clusters, 1 to N.
        seed: Seed of the start.
        on_step: Called after each step of the work; what it raises ends the work.

    Raises:
        ValueError: There are fewer points than clusters.
    """
    if not 1 <= clusters <= len(points_ND):
        raise ValueError(f"{len(points_ND)} points can't make {clusters} clusters")
    generator = torch.Generator().manual_seed(seed)
    centred_ND = points_ND - points_ND.mean(dim=0)
    centre_KD = centred_ND[_start(centred_ND, clusters, generator, on_step)]
    tolerance = _TOLERANCE * float(centred_ND.var(dim=0, correction=0).mean())
    cluster_N, distance_N = _assign(centred_ND, centre_KD, on_step)
    for _ in range(_MOST_ITERATIONS):
        moved_KD = _centres(centred_ND, cluster_N, distance_N, clusters)
        shift = float((moved_KD - centre_KD).square().sum())
        centre_KD, before_N = moved_KD, cluster_N
        cluster_N, distance_N = _assign(centred_ND, centre_KD, on_step)
        if shift <= tolerance or torch.equal(cluster_N, before_N):
            break
    return cluster_N


def _start(
    points_ND: Tensor, clusters: int, generator: torch.Generator, on_step: Callable[[], object]
) -> Tensor:
    """Return (K,): which points are the first centres.

    Each next one is the best of several, drawn by their squared distance from the centres so far:
    the one that leaves the smallest sum of these (Arthur and Vassilvitskii, 2007, section 5).
    """
    tries = 2 + int(math.log(clusters))
    candidates = _Candidates(points_ND, generator)
    first_1 = torch.randint(len(points_ND), (1,), generator=generator).to(points_ND.device)
    distance_N = candidates.distances(first_1).squeeze(0)
    chosen = [first_1]
    for _ in range(1, clusters):
        candidate_T, left_TN = candidates.draw(tries, distance_N)
        left_TN = torch.minimum(left_TN, distance_N, out=left_TN)
        best_1 = left_TN.sum(dim=1).argmin(dim=0, keepdim=True)
        distance_N = left_TN[best_1].squeeze(0)
        chosen.append(candidate_T[best_1])
        on_step()
    return torch.cat(chosen)


class _Candidates:
    """Draws candidates for a centre, each point by its squared distance from the centres so far.

    Distances are worked out for many candidates at once, as a product with few takes several times
    as long for each. They are drawn by the distances of that moment. As these shrink, a candidate
    counts later with the probability by which its own has shrunk, which comes to the same.
    """

    def __init__(self, points_ND: Tensor, generator: torch.Generator) -> None:
        self._points_ND = points_ND
        self._norm_N = points_ND.square().sum(dim=1)
        self._generator = generator
        self._count = max(1, _CHUNK_DISTANCES // max(points_ND.shape))
        self._point_P = torch.empty(0, dtype=torch.long, device=points_ND.device)
        self._distance_PN = points_ND.new_empty(0, len(points_ND))
        self._least_P = points_ND.new_empty(0)  # a distance from the centres that still counts

    def draw(self, count: int, distance_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return (T,) points and (T, N) their squared distances from all points."""
        points: list[Tensor] = []
        distances: list[Tensor] = []
        while count:
            if not len(self._point_P):
                self._refill(distance_N)
            drawn_T = (distance_N[self._point_P] >= self._least_P).nonzero().squeeze(1)[:count]
            points.append(self._point_P[drawn_T])
            distances.append(self._distance_PN[drawn_T])
            count -= len(drawn_T)
            used = int(drawn_T[-1]) + 1 if len(drawn_T) and not count else len(self._point_P)
            self._point_P, self._distance_PN = self._point_P[used:], self._distance_PN[used:]
            self._least_P = self._least_P[used:]
        return torch.cat(points), torch.cat(distances)

    def _refill(self, distance_N: Tensor) -> None:
        drawn_2P = torch.rand(2, self._count, generator=self._generator, dtype=torch.float64)
        where_P, share_P = drawn_2P.to(distance_N.device)
        reached_N = distance_N.cumsum(dim=0, dtype=torch.float64)
        point_P = torch.searchsorted(reached_N, where_P * reached_N[-1])
        self._point_P = point_P.clamp_(max=len(distance_N) - 1)
        self._distance_PN = self.distances(self._point_P)
        self._least_P = (share_P * distance_N[self._point_P]).to(distance_N.dtype)

    def distances(self, point_P: Tensor) -> Tensor:
        """Return (P, N): squared distances from some points to all."""
        from_PD = self._points_ND[point_P]
        squared_PN = torch.addmm(self._norm_N, from_PD, self._points_ND.T, alpha=-2)
        return squared_PN.add_(self._norm_N[point_P, None]).clamp_(min=0)


def _assign(
    points_ND: Tensor, centre_KD: Tensor, on_step: Callable[[], object]
) -> tuple[Tensor, Tensor]:
    """Return (N,): the nearest centre of each point, and its squared distance from that."""
    norm_K = centre_KD.square().sum(dim=1)
    nearest: list[Tensor] = []
    distances: list[Tensor] = []
    for chunk_QD in torch.split(points_ND, max(1, _CHUNK_DISTANCES // len(centre_KD))):
        least = torch.addmm(norm_K, chunk_QD, centre_KD.T, alpha=-2).min(dim=1)
        nearest.append(least.indices)
        distances.append(least.values + chunk_QD.square().sum(dim=1))
        on_step()
    return torch.cat(nearest), torch.cat(distances)


def _centres(points_ND: Tensor, cluster_N: Tensor, distance_N: Tensor, clusters: int) -> Tensor:
    """Return (K, D): the means of clusters; an empty one takes a point that is far from its own."""
    size_K = torch.bincount(cluster_N, minlength=clusters)
    empty_E = (size_K == 0).nonzero().squeeze(1)
    if len(empty_E):
        far_E = _farthest_but_one(cluster_N, distance_N, clusters)[: len(empty_E)]
        cluster_N = cluster_N.index_copy(0, far_E, empty_E)
        size_K = torch.bincount(cluster_N, minlength=clusters)
    # Adds in one order on every device, unlike index_add.
    order_N = cluster_N.argsort(stable=True)
    edges_K1 = F.pad(size_K.cumsum(dim=0), (1, 0))
    sum_KD = torch.segment_reduce(points_ND[order_N], "sum", offsets=edges_K1, initial=0)
    return sum_KD / size_K[:, None].clamp(min=1)


def _farthest_but_one(cluster_N: Tensor, distance_N: Tensor, clusters: int) -> Tensor:
    """The points in descending order of distance, without the nearest of each cluster.

    That one stays, so that no cluster becomes empty by giving its points away.
    """
    order_N = distance_N.argsort(descending=True, stable=True)
    ordered_N = cluster_N[order_N]
    place_N = torch.arange(len(order_N), device=order_N.device)
    last_K = place_N.new_full((clusters,), -1).scatter_reduce(0, ordered_N, place_N, "amax")
    return order_N[place_N != last_K[ordered_N]]
