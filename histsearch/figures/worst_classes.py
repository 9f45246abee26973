"""The test classes that are recognised worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.figures.score_axis import PERCENT
from histsearch.studies.embeddings_file import EmbeddingsFile

_NAME = "worst-classes"
_MOST = 15
_QUANTILE = 1.959964  # of the normal distribution: the end of a 95% interval


@dataclass(frozen=True)
class ClassRecall:
    """R@1 of a test class.

    Attributes:
        name: The class's.
        queries: Its queries.
        hits: Those whose nearest image is of the class.
        low: Lower end of the 95% interval of R@1, in [0, 1] (Wilson, JASA 1927).
        high: Upper end.
    """

    name: str
    queries: int
    hits: int
    low: float
    high: float

    @property
    def recall(self) -> float:
        """R@1, in [0, 1]."""
        return self.hits / self.queries


def class_recalls(embeddings: EmbeddingsFile) -> list[ClassRecall]:
    """R@1 of each test class that has queries, the worst first: the lowest upper end."""
    queries = embeddings.queries
    size_C = np.bincount(queries.label_N, minlength=len(queries.class_names)).tolist()
    hits_C = np.bincount(queries.label_N[embeddings.hit_N], minlength=len(size_C)).tolist()
    found = [
        ClassRecall(name, size, hits, *_wilson(hits, size))
        for name, size, hits in zip(queries.class_names, size_C, hits_C, strict=True)
        if size
    ]
    return sorted(found, key=lambda one: (one.high, one.recall, one.name))


def _wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95% interval of a proportion, by Wilson's score."""
    share, square = hits / number, _QUANTILE**2
    middle = (share + square / (2 * number)) / (1 + square / number)
    half = (
        _QUANTILE
        * sqrt(share * (1 - share) / number + square / (4 * number**2))
        / (1 + square / number)
    )
    return max(middle - half, 0.0), min(middle + half, 1.0)


@look.our_look
def worst_classes(recalls: Sequence[ClassRecall]) -> Drawn | Missing:
    """R@1 of the worst classes with its interval and the number of queries.

    Args:
        recalls: As `class_recalls` gives them.
    """
    title = "The test classes recognised worst: R@1 with its 95% interval (Wilson)"
    if len(recalls) < 2:
        return Missing(_NAME, title, "There are fewer than two test classes with queries.")
    shown = recalls[:_MOST]
    overall = sum(one.hits for one in recalls) / sum(one.queries for one in recalls)
    figure = look.new_figure(0.75 + 0.2 * len(shown))
    axes = figure.subplots()
    look.rows(axes, [look.text(one.name) for one in shown])
    axes.set_xlim(0.0, PERCENT)
    axes.set_xlabel("R@1 in %, test classes")
    for row, one in enumerate(shown):
        ends = (PERCENT * one.low, PERCENT * one.high)
        axes.plot(ends, (row, row), color=look.STRONG, lw=1.4, alpha=0.6)
    axes.scatter(
        [PERCENT * one.recall for one in shown],
        range(len(shown)),
        s=24,
        color=look.STRONG,
        zorder=3,
        clip_on=False,
    )
    axes.axvline(PERCENT * overall, color=look.INK, lw=0.8, ls="--")
    for row, one in enumerate(shown):
        look.beside_row(axes, row, f"{one.hits:,} of {one.queries:,}")
    look.note(
        figure,
        [
            f"dashed: all queries, {overall:.1%}",
            "on the right: hits of queries",
            *look.and_more(len(shown), len(recalls), "classes"),
        ],
    )
    return Drawn(_NAME, title, _alt(shown, len(recalls), overall), figure)


def _alt(shown: Sequence[ClassRecall], classes: int, overall: float) -> str:
    worst = shown[0]
    return (
        f"R@1 of the {len(shown)} test classes of {classes:,} with the lowest upper ends of the "
        f"95% interval, beside {overall:.1%} of all queries. "
        f"The worst is {look.plain(worst.name)}: {worst.hits:,} of {worst.queries:,} queries, "
        f"{worst.recall:.1%} ({worst.low:.1%} to {worst.high:.1%})."
    )
