"""How sure a search is of its winner."""

from collections.abc import Sequence

import numpy as np
import pytest

from histsearch.freeze_thaw import certainty
from histsearch.freeze_thaw.curve_basis import PARTS
from histsearch.freeze_thaw.fitting import draw_settings
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.trials import TrialView, curves_of
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


def chance_of_overtaking(*trials: TrialView, winner: int = 12) -> float:
    one = planner()
    one.refit(trials)
    rng = np.random.default_rng(0)
    return certainty.chance_of_overtaking(
        one.model, trials, winner, delta=0.5, epsilon=0.05, rng=rng
    )


def test_a_trial_that_is_far_behind_does_not_overtake_the_winner() -> None:
    assert chance_of_overtaking(WINNER, *COMPLETE, *POOR) < 0.01


def test_what_begun_trials_cannot_settle_counts_until_four_configurations_are_complete() -> None:
    near = paused(13, *(recall - 0.5 for recall in WINNER.recalls[:-1]))
    assert chance_of_overtaking(WINNER, *COMPLETE, near) < 0.05
    assert chance_of_overtaking(WINNER, *COMPLETE[1:], near) > 0.05


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


def is_decided(
    one: Planner, trials: list[TrialView], winner: int, delta: float, barred: Sequence[int] = ()
) -> bool:
    return (
        certainty.chance_of_better(
            one.model, trials, winner, delta, 0.05, np.random.default_rng(0), barred
        )
        < 0.05
    )


DIAGONAL = (0, 6, 12, 18, 24)


def test_a_study_is_decided_for_the_best_and_not_for_another() -> None:
    one = planner()
    trials = [
        trial(row, *(value + luck,) * EPOCHS)
        for row, value in zip(DIAGONAL, (40.0, 50.0, 70.0, 50.0, 40.0), strict=True)
        for luck in (-0.5, 0.0, 0.5)
    ]
    one.fit_to(trials)
    others = [row for row in range(25) if row not in DIAGONAL]
    assert is_decided(one, trials, 12, 1.0, others)
    assert not is_decided(one, trials, 6, 1.0, others)
    assert is_decided(one, trials, 6, 30.0, others), "none is so much better"


def test_nothing_is_decided_before_every_value_was_seen() -> None:
    favoured = np.zeros((1, 25, PARTS))
    favoured[0, 12, 0] = 40.0
    places = np.array([[i, j] for i in range(5) for j in range(5)])
    one = Planner(places, [DISTANCES, DISTANCES], EPOCHS, earlier_KGB=favoured)
    trials = [trial(12, *(90.0,) * EPOCHS)]
    assert not is_decided(one, trials, 12, 50.0)
    trials += [trial(row, *(50.0,) * EPOCHS) for row in (0, 24, 6)]
    assert not is_decided(one, trials, 12, 50.0), "nothing of row 3 and column 3"
    unseen = [row for row in range(25) if 3 in divmod(row, 5)]
    assert is_decided(one, trials, 12, 50.0, unseen), "they don't count"
    trials.append(trial(18, *(50.0,) * EPOCHS))
    assert is_decided(one, trials, 12, 50.0)


def test_two_candidates_that_differ_in_all_decide_nothing_yet() -> None:
    one = Planner(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [1.0 - np.eye(2)] * 2, EPOCHS)
    trials = [trial(row, *(value,) * EPOCHS) for row, value in ((0, 90.0), (3, 50.0))]
    assert not is_decided(one, trials, 0, 50.0)


def test_few_data_leave_it_open_how_sure_they_are() -> None:
    """Settings that take all differences for luck, or none, fit three runs equally well."""
    one = Planner(np.arange(5)[:, None], [DISTANCES], EPOCHS)
    trials = [trial(row, *(60.0 + luck,) * EPOCHS) for row, luck in enumerate((0.0, 0.3, 0.1))]
    one.fit_to(trials)
    rng = np.random.default_rng(0)
    curves = curves_of(trials)
    alone = one.posterior(trials).chance_of_better(1, 0.5, rng)
    weights, models = zip(*draw_settings(one.model, curves, 32, rng), strict=True)
    drawn = [Posterior(model, curves, ()).chance_of_better(1, 0.5, rng) for model in models]
    assert sum(weights) == pytest.approx(1.0)
    assert max(weights) < 0.5
    assert min(drawn) < 0.5 * alone
    assert max(drawn) > 2.0 * alone
