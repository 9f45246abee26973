"""The metrics of retrieval quality, one of which a study maximises.

Each is a mean over queries of a score in [0, 1], which is 0 where the query has no image of its
class to find. NMI is none of them: its clusterings take many times as long where there are many
classes, and depend on their random start.
"""

# Q = queries in a chunk, R = images of the largest class among the queries'

# No torch here: the command line looks names up.

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from histsearch.exceptions import SpaceError

if TYPE_CHECKING:
    from torch import Tensor

    from histsearch.retrieval.ranking import Ranking

_NEAR = 0.5
_LARGEST_K = 999_999


@dataclass(frozen=True)
class Metric:
    """A metric of retrieval quality.

    Attributes:
        name: Its name in a space, such as "map_at_r".
        label: Its name for people, such as "MAP@R".
        title: The same without abbreviations.
        scores: Returns the (Q,) scores of some queries in float64.
        least_ranked: Fewest images that a query must be ranked against; with fewer, every model
            scores alike.
    """

    name: str
    label: str
    title: str
    scores: "Callable[[Ranking], Tensor]"
    least_ranked: int = 2

    def __repr__(self) -> str:
        # Settings written out tell one run from another, in every process.
        return repr(self.name)


def recall_at(k: int) -> Metric:
    """R@K: the share of queries with an image of their class among their K nearest.

    Oh Song et al., CVPR 2016, section 5.

    Raises:
        ValueError: If ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"the K of R@K must be 1 or above, not {k}")

    def scores(ranking: "Ranking") -> "Tensor":
        return (ranking.nearest_rank_Q <= k).double()

    return Metric(f"r_at_{k}", f"R@{k}", f"recall at {k}", scores, least_ranked=k + 1)


def _hits(ranking: "Ranking") -> "Tensor":
    """Return (Q, R): whether each image of the query's class is among the R nearest."""
    return ranking.class_rank_QR <= ranking.class_size_Q[:, None]


def _r_precision(ranking: "Ranking") -> "Tensor":
    return _hits(ranking).double().sum(dim=1) / ranking.class_size_Q.clamp(min=1)


def _average_precision(ranking: "Ranking") -> "Tensor":
    hits_QR = _hits(ranking)
    precision_QR = hits_QR.cumsum(dim=1) / ranking.class_rank_QR.double()
    return (precision_QR * hits_QR).sum(dim=1) / ranking.class_size_Q.clamp(min=1)


R_PRECISION = Metric("r_precision", "R-Precision", "R-Precision", _r_precision)
"""The share of a query's class among its R nearest, R being the number of images of that class that
it could find (Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, section 3.1)."""

MAP_AT_R = Metric("map_at_r", "MAP@R", "mean average precision at R", _average_precision)
"""The precision at each of the first R ranks that holds an image of the query's class, summed and
divided by R (the same, section 3.1)."""

USUAL_OBJECTIVE = recall_at(1)

_OTHERS = {one.name: one for one in (MAP_AT_R, R_PRECISION)}
_RECALL_AT_K = re.compile(r"r_at_([1-9][0-9]{0,5})")

OBJECTIVES = ", ".join(
    [
        f'"{USUAL_OBJECTIVE.name}" (or another K)',
        *(f'"{name}"' for name in _OTHERS),
    ]
)
"""The names of all metrics, for an error message."""


def find_metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        SpaceError: There is none.
    """
    recall = _RECALL_AT_K.fullmatch(name)
    if recall is not None:
        return recall_at(int(recall[1]))
    if name not in _OTHERS:
        near = _nearest(name)
        hint = "" if near is None else f'did you mean "{near.name}"? '
        raise SpaceError(f'found "{name}", allowed: {hint}{OBJECTIVES}')
    return _OTHERS[name]


def _nearest(name: str) -> Metric | None:
    """The metric that somebody who wrote ``name`` may have meant."""
    number = re.search(r"[1-9][0-9]*", name)
    k = min(int(number[0]), _LARGEST_K) if number else 1
    candidates = (recall_at(k), *_OTHERS.values())
    likeness = {
        max(_likeness(name, known) for known in (one.name, one.label, one.title)): one
        for one in candidates
    }
    return likeness[max(likeness)] if max(likeness) >= _NEAR else None


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()
