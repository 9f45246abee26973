import numpy as np
import pytest

from histsearch.figures.worst_classes import ClassRecall, class_recalls, worst_classes
from tests.unit.figures.made_up import drawn, embeddings, reason

# Queries 0 to 3 are of class a, 4 of b, 5 and 6 of c; the last class has none.
LABELS = [0, 0, 0, 0, 1, 2, 2]
NEAREST = [[1], [0], [4], [5], [0], [6], [5]]


def test_recalls_are_of_each_class_the_worst_first() -> None:
    found = embeddings(
        LABELS, ["a", "b", "c", "empty"], [[*row, -1, -1, -1, -1] for row in NEAREST]
    )
    recalls = class_recalls(found)
    assert [(one.name, one.hits, one.queries) for one in recalls] == [
        ("b", 0, 1),
        ("a", 2, 4),
        ("c", 2, 2),
    ]
    assert {one.name: one.recall for one in recalls} == found.class_recall()


def test_more_queries_without_a_hit_are_worse() -> None:
    labels = [0, 1, 1, 1]
    nearest = [[1, -1, -1, -1, -1], *([[0, -1, -1, -1, -1]] * 3)]
    assert [one.name for one in class_recalls(embeddings(labels, ["a", "b"], nearest))] == [
        "b",
        "a",
    ]


def test_intervals_are_wilsons() -> None:
    # 5 of 10 and 0 of 10: the intervals of Agresti and Coull (1998), which R's prop.test gives too.
    labels = [0] * 10 + [1] * 10
    nearest = [[1 if at < 5 else 10, -1, -1, -1, -1] for at in range(10)]
    nearest[1][0] = 2
    nearest += [[0, -1, -1, -1, -1]] * 10
    worst, half = class_recalls(embeddings(labels, ["half", "none"], nearest))
    assert (half.hits, worst.hits) == (5, 0)
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (worst.low, worst.high) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_the_worst_are_drawn_with_their_counts() -> None:
    recalls = [ClassRecall(f"c{at}", 10, 2, 0.06, 0.51) for at in range(40)]
    result = drawn(worst_classes(recalls))
    (axes,) = result.figure.axes
    (dots,) = axes.collections
    assert np.asarray(dots.get_offsets()).tolist() == [[20.0, float(row)] for row in range(15)]
    assert axes.lines[0].get_xdata() == pytest.approx([6.0, 51.0])
    assert axes.texts[0].get_text() == "2 of 10"
    assert "… and 25 more classes" in result.figure.get_supxlabel()
    assert "c0: 2 of 10 queries, 20.0% (6.0% to 51.0%)" in result.alt


def test_of_one_class_there_is_nothing_to_say() -> None:
    assert "fewer than two" in reason(worst_classes([ClassRecall("c", 10, 2, 0.1, 0.5)]))
