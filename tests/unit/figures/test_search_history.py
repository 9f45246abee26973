from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.axes import Axes

from histsearch.figures.search_history import search_history
from histsearch.studies.stages import TrialStage
from tests.unit.figures.made_up import drawn, reason, search, trial


def points(axes: Axes, label: str) -> list[list[float]]:
    for marks in axes.collections:
        if marks.get_label() == label:
            found: list[list[float]] = np.asarray(marks.get_offsets()).tolist()
            return found
    return []


def hour(number: int) -> datetime:
    return datetime(2026, 1, 1, number, tzinfo=UTC)


def test_it_shows_each_trials_best_score_and_the_highest_so_far() -> None:
    result = drawn(
        search_history(
            search(
                trial(0, [0.3, 0.5, 0.4]),
                trial(1, [0.45], {"tau": 8, "alpha": 0.9}, TrialStage.PAUSED),
                trial(2, [0.6, 0.6], {"tau": 16, "alpha": 0.9}),
                trial(4, [0.9], stage=TrialStage.FAILED),
                winner={"tau": 16, "alpha": 0.9},
            )
        )
    )
    (axes,) = result.figure.axes
    assert points(axes, "complete") == [[0.0, 50.0]]
    assert points(axes, "unfinished") == [[1.0, 45.0]]
    assert points(axes, "the winner's") == [[2.0, 60.0]]
    (highest,) = axes.lines
    assert np.asarray(highest.get_xydata()).tolist() == [[0.0, 50.0], [1.0, 50.0], [2.0, 60.0]]
    assert axes.get_ylabel() == "R@1 in %, validation classes"
    assert result.alt == (
        "The best R@1 of 3 trials on validation classes, by trial: from 45.0% to 60.0%. The "
        "highest so far is reached by trial #2; the winner's trials (#2) are marked."
    )


def test_against_hours_trials_stand_as_they_ended() -> None:
    result = drawn(
        search_history(
            search(
                trial(0, [0.5], hours=1.0, ended=hour(3)),
                trial(1, [0.4], hours=0.5, ended=hour(1)),
                trial(2, [0.6], stage=TrialStage.RUNNING, hours=0.25),
                trial(3, [], stage=TrialStage.FAILED, hours=2.0, ended=hour(2)),
            ),
            "hours",
        )
    )
    (axes,) = result.figure.axes
    assert points(axes, "complete") == [[0.5, 40.0], [3.5, 50.0]]
    assert points(axes, "unfinished") == [[3.75, 60.0]]
    assert axes.get_xlabel() == "CPU hours spent"
    assert result.name == "search-history-hours"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (search(), "The search has no trial yet."),
        (search(trial(0, [], stage=TrialStage.FAILED)), "The search's trial has no score."),
        (
            search(*(trial(number, [], stage=TrialStage.QUEUED) for number in range(2))),
            "None of the search's 2 trials has a score.",
        ),
        (search(trial(0, [0.5])), "One trial has a score, and this figure compares 2 or more."),
    ],
)
def test_it_says_why_there_is_nothing_to_show(found: object, expected: str) -> None:
    assert reason(search_history(found)) == expected  # type: ignore[arg-type]


def test_without_hours_it_says_so() -> None:
    found = search(trial(0, [0.5]), trial(1, [0.6]))
    assert reason(search_history(found, "hours")) == (
        "No trial has recorded the time that it took."
    )
