import numpy as np
import pytest

from histsearch.figures.scores_by_value import ValueScores, scores_by_value
from histsearch.figures.svg import svg
from tests.unit.figures.made_up import HOSTILE, drawn, reason

VALUES = [
    ValueScores(8, [0.60, 0.62, 0.64], 0.57, 0.67),
    ValueScores(16, [0.70, 0.71]),
    ValueScores(32, [0.80, 0.81, 0.82], 0.785, 0.835, published=0.902),
    ValueScores(64, []),
]
WORDS = {"parameter": "batch size Nb", "objective": "R@1", "scored_on": "test classes"}


def test_each_value_has_its_mean_interval_runs_and_published_score() -> None:
    result = drawn(scores_by_value(VALUES, **WORDS))
    (axes,) = result.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "16", "32", "64"]
    assert axes.get_xlabel() == "batch size Nb"
    assert axes.get_ylabel() == "R@1 in %, test classes"
    places = [np.asarray(marks.get_offsets()) for marks in axes.collections]
    runs, means, published = places[0], places[1], places[-1]
    assert runs[:, 1] == pytest.approx([60, 62, 64])
    assert means[0] == pytest.approx([8, 62])
    assert published[0][1] == pytest.approx(90.2)
    assert published[0][0] > 32 > places[-3][0][0], "beside the mean, on the other side of runs"
    intervals = [np.asarray(line.get_xydata()) for line in axes.lines]
    assert intervals[0] == pytest.approx(np.array([[8, 57], [8, 67]]))
    assert len(intervals) == 2, "two runs have no interval"
    assert [text.get_text() for text in axes.texts] == ["3", "2", "3"]


def test_its_alternative_text_tells_every_mean() -> None:
    result = drawn(scores_by_value(VALUES, **WORDS))
    assert result.alt == (
        "Mean R@1 on test classes by batch size Nb, with 95% intervals and single runs as dots. "
        "8: 62.0% (57.0% to 67.0%), 3 runs; 16: 70.5%, 2 runs; 32: 81.0% (78.5% to 83.5%), 3 runs, "
        "published 90.2%."
    )
    assert "◇ published" in result.figure.get_supxlabel()


def test_words_lie_side_by_side() -> None:
    names = ["mahalanobis", "euclidean", "cosine", "manhattan"]
    words = [ValueScores(name, [0.5]) for name in names]
    result = drawn(scores_by_value(words, **WORDS))
    (axes,) = result.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert "published" not in result.figure.get_supxlabel()


def test_names_from_users_are_no_markup() -> None:
    values = [ValueScores(HOSTILE, [0.5, 0.6]), ValueScores("b", [0.6])]
    text = svg(drawn(scores_by_value(values, **{**WORDS, "parameter": HOSTILE})))
    assert "<script>" not in text


def test_without_a_run_there_is_no_figure() -> None:
    assert reason(scores_by_value([ValueScores(8, [])], **WORDS)) == "No run is complete."
