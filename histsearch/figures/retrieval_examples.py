"""Queries with the images that are nearest to them."""

# N = queries, 5 = the nearest images

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import NEAREST, EmbeddingsFile, LabelledImages
from histsearch.wording import counted

_NAME = "retrieval-examples"
_OF_EACH = 4  # queries that hit, and that miss
_PIXELS = 96  # of an image's longer side
_LINE = 18  # characters that fit below an image

Thumbnail = Callable[[LabelledImages, int], Image | None]


@look.our_look
def retrieval_examples(
    embeddings: EmbeddingsFile, thumbnail: Thumbnail, seed: int = 0
) -> Drawn | Missing:
    """Some queries whose nearest image is of their class, and some where it isn't.

    They are drawn at random: a class first, then one of its queries, no class twice while there are
    others.

    Args:
        embeddings: Those of a retraining's trial.
        thumbnail: Gives an image by its place; None where it isn't at hand.
        seed: Chooses the queries.
    """
    title = f"Queries and their five nearest images, drawn at random (seed {seed})"
    rng = np.random.default_rng(seed)
    has_nearest_N = embeddings.nearest_N5[:, 0] >= 0
    labels_N = embeddings.queries.label_N
    missed = _drawn(labels_N, ~embeddings.hit_N & has_nearest_N, rng)
    hit = _drawn(labels_N, embeddings.hit_N & has_nearest_N, rng)
    queries = [*missed, *hit]
    if not queries:
        return Missing(_NAME, title, "No query has an image to be ranked against.")
    figure = look.new_figure(0.4 + 1.4 * len(queries))
    panels = look.panels(figure, len(queries) * (NEAREST + 1), NEAREST + 1)
    rows = [panels[at : at + NEAREST + 1] for at in range(0, len(panels), NEAREST + 1)]
    at_hand = [
        _row(row, embeddings, query, thumbnail) for row, query in zip(rows, queries, strict=True)
    ]
    for axes, words in zip(rows[0], ("query", *map(str, range(1, NEAREST + 1))), strict=True):
        axes.set_title(words, loc="center")
    notes = [
        f"drawn at random, seed {seed}: {len(missed)} of {int((~embeddings.hit_N).sum()):,} misses,"
        f" {len(hit)} of {int(embeddings.hit_N.sum()):,} hits",
        "✓ solid frame: the query's class  ✗ dashed frame: another",
    ]
    look.note(figure, notes)
    return Drawn(_NAME, title, _alt(embeddings, missed, hit, all(at_hand)), figure)


def _drawn(
    labels_N: NDArray[np.int32], among_N: NDArray[np.bool_], rng: np.random.Generator
) -> list[int]:
    """Places of a few queries, in turns of classes."""
    shuffled = rng.permutation(np.flatnonzero(among_N)).tolist()
    turn_of_class = rng.permutation(int(labels_N.max(initial=0)) + 1)
    seen: dict[int, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for query in shuffled:
        label = int(labels_N[query])
        ranked.append((seen.get(label, 0), int(turn_of_class[label]), query))
        seen[label] = seen.get(label, 0) + 1
    return [query for _, _, query in sorted(ranked)[:_OF_EACH]]


def _row(
    panels: Sequence[Axes], embeddings: EmbeddingsFile, query: int, thumbnail: Thumbnail
) -> bool:
    """Draw a query and its nearest; whether all their images are at hand."""
    own = _class(embeddings.queries, query)
    found = [_show(panels[0], embeddings.queries, query, thumbnail)]
    nearest_5 = embeddings.nearest_N5[query].tolist()
    for axes, place in zip(panels[1:], nearest_5, strict=True):
        if place < 0:
            axes.set_axis_off()
            continue
        found.append(_show(axes, embeddings.ranked, place, thumbnail))
        _frame(axes, is_right=_class(embeddings.ranked, place) == own)
    return all(found)


def _class(images: LabelledImages, place: int) -> str:
    return images.class_names[int(images.label_N[place])]


def _show(axes: Axes, images: LabelledImages, place: int, thumbnail: Thumbnail) -> bool:
    """Draw an image, or a tile in its place; whether it is at hand."""
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal")
    axes.set_xlabel(look.wrapped(_class(images, place), _LINE), fontsize=6.5, labelpad=3.0)
    image = thumbnail(images, place)
    if image is None:
        axes.add_patch(Rectangle((0.0, 0.0), 1.0, 1.0, color=look.PALE, lw=0))
        axes.text(0.5, 0.5, "image not\nat hand", ha="center", va="center", fontsize=6.5)
        return False
    small = image.convert("RGB")
    small.thumbnail((_PIXELS, _PIXELS), Resampling.LANCZOS)
    width, height = (side / max(small.size) for side in small.size)
    left, low = (1.0 - width) / 2, (1.0 - height) / 2
    # As it is, not resampled to the figure's resolution.
    extent = (left, left + width, low, low + height)
    axes.imshow(np.asarray(small), extent=extent, interpolation="none", aspect="equal")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    return True


def _frame(axes: Axes, *, is_right: bool) -> None:
    color = look.STRONG if is_right else look.ACCENT
    axes.add_patch(
        Rectangle(
            (0.0, 0.0),
            1.0,
            1.0,
            fill=False,
            edgecolor=color,
            linewidth=2.2,
            linestyle="-" if is_right else (0, (2.5, 1.2)),
            clip_on=False,
            zorder=4,
        )
    )
    axes.text(
        *(0.91, 0.9),
        "✓" if is_right else "✗",
        color="#FFFFFF",
        fontsize=8.0,
        fontweight="bold",
        ha="center",
        va="center",
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": color, "edgecolor": "none"},
        zorder=5,
    )


def _alt(
    embeddings: EmbeddingsFile, missed: Sequence[int], hit: Sequence[int], at_hand: bool
) -> str:
    kinds = ((missed, "of another class"), (hit, "of its own class"))
    shown = " and ".join(
        f"{counted(len(some), 'query')} with the nearest image {which}"
        for some, which in kinds
        if some
    )
    text = f"{shown}, each with its five nearest images; frames and marks tell right from wrong."
    if missed:
        query = missed[0]
        nearest = int(embeddings.nearest_N5[query, 0])
        text += (
            f" The first is of {look.plain(_class(embeddings.queries, query))} and finds "
            f"{look.plain(_class(embeddings.ranked, nearest))}."
        )
    return text if at_hand else f"{text} Some images are not at hand."
