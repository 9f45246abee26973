"""Which configuration is recommended."""

import numpy as np
import pytest

from tests.unit.freeze_thaw.small_planner import EPOCHS, paused, planner, trial


def test_the_answer_is_the_mean_of_many_not_the_luck_of_one() -> None:
    one = planner()
    rng = np.random.default_rng(0)
    flat = [70.0] * EPOCHS
    lucky = trial(0, *(value + 1.5 for value in flat))
    steady = [trial(24, *(70.8 + rng.normal(scale=0.3, size=EPOCHS))) for _ in range(6)]
    worse = [trial(0, *(value - 1.0 for value in flat)) for _ in range(3)]
    trials = [lucky, *steady, *worse]
    one.refit(trials)
    assert one.winner(trials) == 24
    assert one.posterior(trials).mean_G[one.winner(trials)] == pytest.approx(70.8, abs=0.6)


def test_an_answer_stands_until_another_is_probably_better() -> None:
    one = planner()
    trials = [paused(row, value - 5.0, value) for row, value in ((0, 50.0), (12, 70.0), (24, 60.0))]
    one.refit(trials)
    assert one.winner(trials) == 12
    near = [*trials, *(paused(13, value - 5.0, value) for value in (70.2, 70.4))]
    assert one.winner(near) == 13
    assert one.winner(near, 12) == 12, "a step ahead is no reason to change"
    far = [*near, *(paused(13, value - 5.0, value) for value in (75.0, 76.0, 75.0, 76.0))]
    assert one.winner(far, 12) == 13


def test_an_answer_has_run_and_is_not_ruled_out_where_there_is_another() -> None:
    one = planner()
    trials = [paused(12, 65.0, 70.0), paused(0, 45.0, 50.0), trial(24, running=True)]
    one.refit(trials)
    assert one.posterior(trials).mean_G.argmax() not in (0, 12)
    assert one.winner(trials, 24) == 12, "what stood has not run"
    assert one.winner(trials, 12, ruled_out=[12]) == 0
    assert one.winner(trials, ruled_out=range(25)) == 12
    assert one.winner([]) in range(25)
