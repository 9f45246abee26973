"""How sure a search is of its winner."""

import numpy as np
import pytest

from histsearch.freeze_thaw import certainty
from histsearch.freeze_thaw.planner import Planner
from tests.unit.freeze_thaw.doubts import chance_of_overtaking, is_decided
from tests.unit.freeze_thaw.small_planner import (
    COMPLETE,
    EPOCHS,
    POOR,
    WINNER,
    paused,
    planner,
    trial,
)


@pytest.mark.parametrize("state", ["resumable", "running"])
def test_a_trial_that_keeps_up_may_overtake_the_winner(state: str) -> None:
    rival = trial(18, 61.0, 71.0, **{state: True})
    chance = chance_of_overtaking(WINNER, *COMPLETE, *POOR, rival)
    assert 0.05 < chance < 0.9


def test_only_trials_that_go_on_can_overtake_the_winner() -> None:
    ended = [trial(row, 60.0, 70.0, 75.0, 78.0, 79.5, 79.9) for row in (11, 13)]
    left = trial(7, 60.5, 70.5)
    assert chance_of_overtaking(WINNER, *ended, left) == 0.0


def test_the_values_that_no_trial_ran_with_are_named() -> None:
    one = planner()
    trials = [paused(5 * x, 50.0) for x in (0, 1, 2, 4)]
    first, second = certainty.unseen(one.model.kernel, trials)
    assert {row // 5 for row in first} == {3}
    assert {row % 5 for row in second} == {1, 2, 3, 4}
    barred = [row for row in range(25) if row % 5 or row // 5 == 3]
    assert certainty.unseen(one.model.kernel, trials, barred) == [[], []]


def test_two_candidates_that_differ_in_all_decide_nothing_yet() -> None:
    one = Planner(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [1.0 - np.eye(2)] * 2, EPOCHS)
    trials = [trial(row, *(value,) * EPOCHS) for row, value in ((0, 90.0), (3, 50.0))]
    assert not is_decided(one, trials, 0, 50.0)
