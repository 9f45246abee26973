"""Metrics of embeddings, all of them in one pass over the similarities."""

# N = queries, M = gallery, D = embedding size, K = nearest images

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from histsearch.retrieval.known_metrics import Metric
from histsearch.retrieval.ranking import Ranking
from histsearch.retrieval.similarity import similarity_chunks


def _do_nothing() -> None:
    return None


@dataclass(frozen=True)
class Retrieval:
    """What queries find.

    Attributes:
        values: By its name the value of each metric, in [0, 1].
        nearest_NK: (N, K) places in the gallery of each query's nearest images, nearest first, as
            `Ranking.nearest` has them.
    """

    values: dict[str, float]
    nearest_NK: Tensor


def measure(
    metrics: Iterable[Metric],
    embeddings_ND: Tensor,
    labels_N: Tensor,
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
    on_chunk: Callable[[], object] = _do_nothing,
) -> dict[str, float]:
    """Metrics by cosine similarity, in [0, 1], by their names; arguments as of `retrieve`.

    Raises:
        ValueError: If shapes don't fit or embeddings aren't finite.
    """
    found = retrieve(
        metrics,
        embeddings_ND,
        labels_N,
        gallery_MD=gallery_MD,
        gallery_labels_M=gallery_labels_M,
        on_chunk=on_chunk,
    )
    return found.values


@torch.no_grad()
def retrieve(
    metrics: Iterable[Metric],
    embeddings_ND: Tensor,
    labels_N: Tensor,
    *,
    gallery_MD: Tensor | None = None,
    gallery_labels_M: Tensor | None = None,
    nearest: int = 0,
    on_chunk: Callable[[], object] = _do_nothing,
) -> Retrieval:
    """Metrics by cosine similarity, and the images nearest to each query.

    Without a gallery each query ranks the other queries, never itself.

    Args:
        metrics: The metrics.
        embeddings_ND: (N, D) embeddings of the queries, of any length and on any device.
        labels_N: (N,) their classes.
        gallery_MD: (M, D) embeddings to rank instead, as in In-Shop.
        gallery_labels_M: (M,) their classes, numbered as ``labels_N``.
        nearest: How many of each query's nearest images to find, K.
        on_chunk: Called after each part of the queries, as 60,000 images take a minute on a CPU.

    Raises:
        ValueError: If shapes don't fit or embeddings aren't finite.
    """
    by_name = {metric.name: metric for metric in metrics}
    scores: dict[str, list[Tensor]] = {name: [] for name in by_name}
    nearest_QK: list[Tensor] = []
    for chunk in similarity_chunks(embeddings_ND, labels_N, gallery_MD, gallery_labels_M):
        ranking = Ranking(chunk)
        for name, metric in by_name.items():
            scores[name].append(metric.scores(ranking))
        nearest_QK.append(ranking.nearest(nearest))
        on_chunk()
    values = {name: _mean(torch.cat(parts)) for name, parts in scores.items()}
    return Retrieval(values, torch.cat(nearest_QK))


def _mean(score_N: Tensor) -> float:
    """The mean, rounded as if it were exact: the same in any order and on any device."""
    return math.fsum(score_N.tolist()) / len(score_N)
