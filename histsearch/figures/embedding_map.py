"""A map of embeddings in two dimensions, by t-SNE (van der Maaten & Hinton, JMLR 2008)."""

# N = images, D = embedding size, 2 = axes of the map

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from histsearch.figures import look
from histsearch.figures.drawn import Drawn, Missing
from histsearch.studies.embeddings_file import EmbeddingsFile, LabelledImages
from histsearch.wording import counted

_NAME = "embedding-map"
_MOST_IMAGES = 2000  # of both parts together
_FEWEST_IMAGES = 5
_IN_TURN = 10  # images of a class are drawn before others follow
_PERPLEXITY = 30.0
_MOST_COLORED = len(look.CLASSES)
_LEAST_LENGTH = 1e-12
_LEAST_SPREAD = 1e-6
_HEIGHT = 4.05  # inches, without the names of classes
_LINE = 0.17  # inches, a row of these
_COLUMNS = 2
_SPAN = 1.06  # of the map: a panel's width


@dataclass(frozen=True, eq=False)
class _Sample:
    """Some images of a part."""

    title: str
    classes: int
    name_N: tuple[str, ...]
    embedding_ND: NDArray[np.float32]

    @property
    def colored(self) -> list[str]:
        """The classes with colours of their own: those with the most images."""
        names, sizes = np.unique(np.array(self.name_N, dtype=object), return_counts=True)
        ranked = sorted(zip(names, sizes, strict=True), key=lambda one: (-one[1], one[0]))
        return sorted(str(name) for name, _ in ranked[:_MOST_COLORED])


@look.our_look
def embedding_map(embeddings: EmbeddingsFile, seed: int = 0) -> Drawn | Missing:
    """Embeddings of training and test classes on one map, a panel each.

    Cosine distances count, as in retrieval: embeddings are of length one. Where there are more than
    2,000 images, each part gives up to a half, of classes in a random order up to ten images each,
    then ten more of each, and so on.

    Args:
        embeddings: Those of a retraining's trial.
        seed: Chooses the images, and seeds t-SNE.
    """
    title = f"Embeddings of training and test images, t-SNE (seed {seed})"
    samples = _samples(embeddings, seed)
    number = sum(len(sample.name_N) for sample in samples)
    if number < _FEWEST_IMAGES:
        reason = f"A map takes {_FEWEST_IMAGES} finite embeddings, and there are {number}."
        return Missing(_NAME, title, reason)
    every_ND = np.concatenate([sample.embedding_ND for sample in samples])
    if float(every_ND.std(axis=0).max()) < _LEAST_SPREAD:
        return Missing(_NAME, title, "All embeddings are the same: the network has collapsed.")
    perplexity = min(_PERPLEXITY, (number - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    map_N2 = tsne.fit_transform(every_ND)
    entries = min(max(sample.classes for sample in samples), _MOST_COLORED + 1)
    figure = look.new_figure(_HEIGHT + _LINE * -(-entries // _COLUMNS))
    ends = np.cumsum([len(sample.name_N) for sample in samples])[:-1]
    panels = look.panels(figure, len(samples), len(samples))
    for axes, sample, own_N2 in zip(panels, samples, np.split(map_N2, ends), strict=True):
        _panel(axes, sample, own_N2)
    _frame_alike(panels, map_N2)
    notes = [f"t-SNE of both panels together, seed {seed}, perplexity {perplexity:.3g}"]
    if max(sample.classes for sample in samples) > _MOST_COLORED:
        notes.append(f"in colour: {_MOST_COLORED} classes")
    if len(samples) > 1:
        notes.append("a mark is of another class in each panel")
    look.note(figure, notes)
    return Drawn(_NAME, title, _alt(samples, seed), figure)


def _samples(embeddings: EmbeddingsFile, seed: int) -> list[_Sample]:
    """Images of both parts; half of all at most are of one, unless the other has fewer."""
    rng = np.random.default_rng(seed)
    train, test = embeddings.train, embeddings.queries
    half = _MOST_IMAGES // 2
    most_of_test = _MOST_IMAGES - min(half, len(train))
    chosen_test = _chosen(test, most_of_test, rng)
    chosen_train = _chosen(train, _MOST_IMAGES - len(chosen_test), rng)
    parts = (("training classes", train, chosen_train), ("test classes", test, chosen_test))
    return [_sample(title, part, chosen) for title, part, chosen in parts if len(chosen)]


def _chosen(part: LabelledImages, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of up to so many images."""
    is_finite_N = np.isfinite(part.embedding_ND).all(axis=1)
    shuffled = rng.permutation(np.flatnonzero(is_finite_N))
    turn_of_class = rng.permutation(len(part.class_names))
    labels = part.label_N[shuffled]
    seen: dict[int, int] = {}
    turns = []
    for label in labels.tolist():
        turns.append(seen.get(label, 0) // _IN_TURN)
        seen[label] = seen.get(label, 0) + 1
    order = np.lexsort((turn_of_class[labels], turns))
    return np.sort(shuffled[order[:most]])


def _sample(title: str, part: LabelledImages, chosen: NDArray[np.int64]) -> _Sample:
    embedding_ND = part.embedding_ND[chosen].astype(np.float32)
    length_N1 = np.linalg.norm(embedding_ND, axis=1, keepdims=True)
    labels = part.label_N[chosen].tolist()
    return _Sample(
        title,
        len(set(labels)),
        tuple(part.class_names[label] for label in labels),
        embedding_ND / np.maximum(length_N1, _LEAST_LENGTH),
    )


def _panel(axes: Axes, sample: _Sample, map_N2: NDArray[np.float32]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.set_title(
        f"{sample.title}: {counted(len(sample.name_N), 'image')}, "
        f"{counted(sample.classes, 'class')}"
    )
    colored = sample.colored
    others = [at for at, name in enumerate(sample.name_N) if name not in colored]
    many = len(sample.name_N) > look.MANY
    _draw(axes, map_N2[others], None, color=look.FADED, marker="o", alpha=0.5, size=5.0)
    for name, color, marker in zip(colored, look.CLASSES, look.CLASS_MARKS, strict=False):
        own = [at for at, one in enumerate(sample.name_N) if one == name]
        size = 11.0 if many else 16.0
        _draw(axes, map_N2[own], look.text(name), color=color, marker=marker, size=size)
    rest = sample.classes - len(colored)
    if rest:
        axes.scatter([], [], s=5, color=look.FADED, label=f"… and {rest:,} more")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.01),
        ncols=_COLUMNS,
        frameon=False,
        fontsize=look.SMALL,
        borderaxespad=0.2,
        handletextpad=0.3,
        columnspacing=1.0,
    )


def _draw(
    axes: Axes,
    map_N2: NDArray[np.float32],
    label: str | None,
    *,
    color: str,
    marker: str,
    size: float,
    alpha: float = 1.0,
) -> None:
    if len(map_N2):
        axes.scatter(
            map_N2[:, 0],
            map_N2[:, 1],
            s=size,
            color=color,
            marker=marker,
            alpha=alpha,
            linewidths=0,
            label=label,
            rasterized=len(map_N2) > look.MANY // 4,
        )


def _frame_alike(panels: Sequence[Axes], map_N2: NDArray[np.float32]) -> None:
    """Give all panels the same span, a square that holds the whole map."""
    low_2, high_2 = map_N2.min(axis=0), map_N2.max(axis=0)
    half = _SPAN * float((high_2 - low_2).max()) / 2
    x, y = ((low_2 + high_2) / 2).tolist()
    for axes in panels:
        axes.set_aspect("equal", anchor="N")
        axes.set_xlim(x - half, x + half)
        axes.set_ylim(y - half, y + half)


def _alt(samples: Sequence[_Sample], seed: int) -> str:
    parts = " and ".join(
        f"{counted(len(one.name_N), 'image')} of {one.classes:,} {one.title}" for one in samples
    )
    return (
        f"A map of {parts} by t-SNE with seed {seed}: images whose embeddings are alike lie near "
        f"one another. Up to {_MOST_COLORED} classes of each panel have colours and marks of their "
        "own there."
    )
