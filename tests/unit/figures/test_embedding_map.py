from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from histsearch.figures.embedding_map import embedding_map
from histsearch.studies.embeddings_file import EmbeddingsFile
from tests.unit.figures.made_up import clusters, drawn, embeddings, images, reason


def some(classes: int = 3, size: int = 5, train: int = 2) -> EmbeddingsFile:
    rng = np.random.default_rng(0)
    labels = [at for at in range(classes) for _ in range(size)]
    nearest = [[-1] * 5 for _ in labels]
    found = embeddings(labels, [f"t{at}" for at in range(classes)], nearest)
    return replace(
        found,
        queries=clusters(rng, classes, size, prefix="test"),
        train=clusters(rng, train, size, prefix="train"),
    )


def points(found: EmbeddingsFile, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Places on the map by the label of their class."""
    figure = drawn(embedding_map(found, seed)).figure
    return {
        str(marks.get_label()): np.asarray(marks.get_offsets())
        for axes in figure.axes
        for marks in axes.collections
    }


def test_images_of_a_class_lie_together_on_one_map() -> None:
    places = points(some())
    assert list(places) == ["train0", "train1", "test0", "test1", "test2"]
    centres = {name: place.mean(axis=0) for name, place in places.items()}
    for name, place in places.items():
        own = np.linalg.norm(place - centres[name], axis=1).max()
        others = [
            np.linalg.norm(centres[name] - one) for key, one in centres.items() if key != name
        ]
        assert own < min(others)


def test_the_same_seed_gives_the_same_map_and_is_named() -> None:
    first, second = points(some(), seed=7), points(some(), seed=7)
    np.testing.assert_array_equal(first["test0"], second["test0"])
    result = drawn(embedding_map(some(), 7))
    assert "seed 7" in result.title
    assert "seed 7, perplexity 8" in result.figure.get_supxlabel()


def test_at_most_2000_images_are_drawn_ten_of_each_class_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    class Instant:
        def __init__(self, **_: object) -> None: ...

        def fit_transform(self, every_ND: NDArray[np.float32]) -> NDArray[np.float32]:
            seen.append(len(every_ND))
            np.testing.assert_allclose(np.linalg.norm(every_ND, axis=1), 1.0, rtol=1e-5)
            assert every_ND.dtype == np.float32
            return every_ND[:, :2]

    monkeypatch.setattr("histsearch.figures.embedding_map.TSNE", Instant)
    figure = drawn(embedding_map(some(classes=90, size=60, train=40))).figure
    assert seen == [2000]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "training classes: 1,000 images, 40 classes",
        "test classes: 1,000 images, 90 classes",
    ]
    legend = figure.axes[1].get_legend()
    assert legend is not None
    assert legend.get_texts()[-1].get_text() == "… and 82 more"
    note = figure.get_supxlabel()
    assert "in colour: 8 classes" in note
    assert "the most" not in note
    assert "a mark is of another class in each panel" in note
    figure = drawn(embedding_map(some(classes=90, size=60, train=2))).figure
    assert seen == [2000, 2000], "what one part leaves is the other's"


def test_it_says_why_there_is_no_map() -> None:
    few = embeddings([0, 1], ["a", "b"], [[-1] * 5] * 2)
    assert reason(embedding_map(few)) == "A map takes 5 finite embeddings, and there are 4."
    alike = images([[1.0, 2.0]] * 9, [0] * 9, ["a"])
    collapsed = replace(few, queries=alike, train=alike)
    assert "collapsed" in reason(embedding_map(collapsed))
    lost = images([[float("nan"), 2.0]] * 9, [0] * 9, ["a"])
    assert "there are 0" in reason(embedding_map(replace(few, queries=lost, train=lost)))
