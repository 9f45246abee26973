"""The test classes that are taken for each other."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile
from histsearch.wording import counted

_NAME = "confused-classes"
_MOST = 15


@dataclass(frozen=True)
class Confusion:
    """A test class that is taken for another.

    Attributes:
        name: The queries' class.
        taken_for: The class of the image that is nearest to them.
        count: How many queries these are.
        queries: Queries of the class in all.
    """

    name: str
    taken_for: str
    count: int
    queries: int


def confusions(embeddings: EmbeddingsFile) -> list[Confusion]:
    """Each class and each other that it is taken for, the most frequent pair first."""
    queries, ranked = embeddings.queries, embeddings.ranked
    sizes = np.bincount(queries.label_N, minlength=len(queries.class_names)).tolist()
    missed = ~embeddings.hit_N & (embeddings.nearest_N5[:, 0] >= 0)
    labels = queries.label_N[missed].tolist()
    nearest = ranked.label_N[embeddings.nearest_N5[missed, 0]].tolist()
    found = [
        Confusion(queries.class_names[label], ranked.class_names[other], count, sizes[label])
        for (label, other), count in Counter(zip(labels, nearest, strict=True)).items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.queries, one.name, one.taken_for))


@look.our_look
def confused_classes(found: Sequence[Confusion]) -> Drawn | Missing:
    """The most frequent confusions.

    Args:
        found: As `confusions` gives them.
    """
    title = "Test classes taken for others: queries whose nearest image is of another class"
    if not found:
        return Missing(_NAME, title, "The nearest image of every query is of its class.")
    shown = found[:_MOST]
    figure = look.new_figure(0.75 + 0.2 * len(shown))
    axes = figure.subplots()
    look.rows(axes, [f"{look.text(one.name)} → {look.text(one.taken_for)}" for one in shown])
    counts = [one.count for one in shown]
    axes.barh(range(len(shown)), counts, height=0.55, color=look.STRONG)
    axes.set_xlim(0.0, max(counts) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("queries")
    for row, one in enumerate(shown):
        look.beside_row(axes, row, f"{one.count:,} of {one.queries:,}")
    missed = sum(one.count for one in found)
    look.note(
        figure,
        [
            "class of the queries → class of their nearest image",
            f"{counted(missed, 'miss')} in all",
            *look.and_more(len(shown), len(found), "pairs"),
        ],
    )
    return Drawn(_NAME, title, _alt(shown, len(found), missed), figure)


def _alt(shown: Sequence[Confusion], pairs: int, missed: int) -> str:
    first = shown[0]
    return (
        f"How often queries of one test class have their nearest image in another: the "
        f"{len(shown)} most frequent of {counted(pairs, 'pair')}, of {counted(missed, 'miss')} in "
        f"all. {look.plain(first.name)} is taken for {look.plain(first.taken_for)} by "
        f"{first.count:,} of its {counted(first.queries, 'query')}."
    )
