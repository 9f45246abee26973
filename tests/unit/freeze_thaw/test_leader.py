"""The leader is brought to its end, then its rivals."""

import numpy as np

from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView
from tests.unit.freeze_thaw.small_planner import (
    COMPLETE,
    DISTANCES,
    EPOCHS,
    POOR,
    WINNER,
    paused,
    planner,
    trial,
)


def test_when_no_new_trial_may_start_the_leader_then_its_likeliest_rival_goes_on() -> None:
    one = planner()
    leader, rival = paused(12, 60.0, 70.0, 75.0), paused(13, 58.0, 68.0)
    trials = [*COMPLETE, *POOR, rival, leader]
    one.refit(trials)
    action = one.next(trials, may_start=False)
    assert action is not None
    assert action.configuration == 12
    trials[-1] = WINNER
    action = one.next(trials, may_start=False)
    assert action is not None
    assert action.configuration == 13


def leader_goes_on(*trials: TrialView, current: int | None = None) -> bool:
    one = planner(min_epochs=1)
    one.refit(trials)
    action = one.next(trials, current=current)
    assert action is not None
    return action.configuration == 12


def test_half_of_all_epochs_are_the_leaders() -> None:
    others = [paused(row, 40.0, 45.0) for row in (0, 4, 20, 24)]
    for epochs in (1, 5):
        assert leader_goes_on(*others, paused(12, *(80.0,) * epochs))
    another = others[-1]._replace(resumable=False)
    assert leader_goes_on(paused(12, 80.0), *others[:-1], another, current=4)
    at_its_half = paused(12, *(80.0,) * 4)
    assert not leader_goes_on(*others[:2], at_its_half)
    assert not leader_goes_on(*others, trial(12, 80.0, running=True))
    complete = [trial(12, *(80.0,) * EPOCHS) for _ in range(4)]
    rivals = [paused(row, 78.0) for row in (1, 3, 9, 15, 21, 23)]
    assert not leader_goes_on(*others, *rivals, *complete, paused(12, 80.0))


def test_the_leaders_furthest_trial_that_can_goes_on() -> None:
    one = planner(min_epochs=1)
    others = [paused(row, 40.0, 45.0) for row in (0, 4, 20, 24)]
    leaders = [trial(12, 80.0, 80.0, 80.0), paused(12, 80.0), paused(12, 80.0, 80.0)]
    one.refit([*others, *leaders])
    assert one.next([*others, *leaders]) == (12, 6)
    barred = one.next([*others, *leaders], barred=[12])
    assert barred is not None
    assert barred.configuration != 12


def test_only_rivals_are_looked_at_when_nothing_else_is_left() -> None:
    two = Planner(np.array([[0], [2], [4]]), [DISTANCES], EPOCHS)
    trials = [paused(0, 50.0, 55.0), paused(1, 74.0, 79.0), paused(2, 74.5, 79.5)]
    two.refit(trials)
    action = two.next(trials, may_start=False)
    assert action is not None
    assert action.trial in (1, 2)
