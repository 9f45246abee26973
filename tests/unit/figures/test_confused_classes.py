from histsearch.figures.confused_classes import Confusion, confused_classes, confusions
from tests.unit.figures.made_up import drawn, embeddings, images, reason


def row(nearest: int) -> list[int]:
    return [nearest, -1, -1, -1, -1]


def test_misses_are_counted_by_the_class_of_their_nearest_image() -> None:
    found = embeddings(
        [0, 0, 0, 1, 1, 2], ["a", "b", "c"], [row(3), row(4), row(1), row(5), row(3), row(-1)]
    )
    assert confusions(found) == [Confusion("a", "b", 2, 3), Confusion("b", "c", 1, 2)]


def test_a_gallery_has_its_own_classes() -> None:
    gallery = images([[1.0, 0.0]] * 2, [0, 1], ["z", "a"])
    found = embeddings([0, 0], ["a"], [row(0), row(1)], gallery)
    assert confusions(found) == [Confusion("a", "z", 1, 2)]


def test_the_most_frequent_are_drawn() -> None:
    found = [Confusion(f"c{at}", "$other$", 40 - at, 60) for at in range(40)]
    result = drawn(confused_classes(found))
    (axes,) = result.figure.axes
    assert [bar.get_width() for bar in axes.patches] == list(range(40, 25, -1))  # type: ignore[attr-defined]
    assert axes.get_yticklabels()[0].get_text() == "c0 → \\$other\\$"
    assert axes.texts[0].get_text() == "40 of 60"
    assert "… and 25 more pairs" in result.figure.get_supxlabel()
    assert "c0 is taken for $other$ by 40 of its 60 queries" in result.alt


def test_without_a_miss_it_says_so() -> None:
    assert reason(confused_classes([])) == "The nearest image of every query is of its class."
