import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from histsearch.figures import look
from histsearch.figures.retrieval_examples import retrieval_examples
from tests.unit.figures.made_up import HOSTILE, drawn, embeddings, images, reason

RED = Image.new("RGB", (200, 100), "red")
# Of six classes with two queries each, the first three find one another's, the rest their own.
LABELS = [at // 2 for at in range(12)]
NAMES = ["a", "b", "c", "d", "e", HOSTILE]
NEAREST = [[(at + 2) % 6, at ^ 1, -1, -1, -1] for at in range(6)]
NEAREST += [[at ^ 1, 0, -1, -1, -1] for at in range(6, 12)]
FOUND = embeddings(LABELS, NAMES, NEAREST)


def frame(axes: Axes) -> str:
    (one,) = (patch for patch in axes.patches if not patch.get_fill())
    assert isinstance(one, Rectangle)
    return to_hex(one.get_edgecolor()).upper()


def rows(found: object = FOUND, seed: int = 0) -> list[list[Axes]]:
    result = drawn(retrieval_examples(found, lambda *_: RED, seed))  # type: ignore[arg-type]
    return [result.figure.axes[at : at + 6] for at in range(0, len(result.figure.axes), 6)]


def test_misses_come_first_then_hits_each_class_once_while_it_can() -> None:
    names = [row[0].get_xlabel() for row in rows()]
    assert len(names) == 4 + 4
    assert set(names[:4]) == {"a", "b", "c"}
    assert set(names[4:]) == {"d", "e", look.wrapped(HOSTILE, 18)}
    assert len(set(names[:3])) == len(set(names[4:7])) == 3


def test_right_and_wrong_are_told_by_colour_and_by_a_mark() -> None:
    first, last = rows()[0], rows()[-1]
    assert [frame(axes) for axes in first[1:3]] == [look.ACCENT, look.STRONG]
    assert [axes.texts[0].get_text() for axes in first[1:3]] == ["✗", "✓"]
    assert [axes.texts[0].get_text() for axes in last[1:3]] == ["✓", "✗"]
    assert not first[3].axison, "there is no third"


def test_images_are_small_and_whole() -> None:
    (image,) = rows()[0][0].images
    assert np.asarray(image.get_array()).shape == (48, 96, 3)
    assert list(image.get_extent()) == [0.0, 1.0, 0.25, 0.75]


def test_the_seed_chooses_and_is_named() -> None:
    def chosen(seed: int) -> list[str]:
        paths: list[str] = []
        drawn(
            retrieval_examples(
                FOUND, lambda images, place: paths.append(images.path_N[place]), seed
            )
        )
        return paths

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    result = drawn(retrieval_examples(FOUND, lambda *_: RED, 3))
    assert "seed 3" in result.title
    assert "seed 3: 4 of 6 misses, 4 of 6 hits" in result.figure.get_supxlabel()


def test_without_images_it_says_so_in_their_places() -> None:
    result = drawn(retrieval_examples(FOUND, lambda *_: None))
    assert result.figure.axes[0].texts[0].get_text() == "image not\nat hand"
    assert result.alt.endswith("Some images are not at hand.")


def test_a_gallery_has_its_own_images() -> None:
    gallery = images([[1.0, 0.0]] * 2, [0, 1], ["z", "a"])
    found = embeddings([0], ["a"], [[1, 0, -1, -1, -1]], gallery)
    (row,) = rows(found)
    assert [axes.get_xlabel() for axes in row[:3]] == ["a", "a", "z"]
    assert [frame(axes) for axes in row[1:3]] == [look.STRONG, look.ACCENT]


def test_without_a_ranked_image_there_is_no_figure() -> None:
    alone = embeddings([0], ["a"], [[-1] * 5])
    assert reason(retrieval_examples(alone, lambda *_: RED)) == (
        "No query has an image to be ranked against."
    )
