"""What a planner trains next."""

import numpy as np
import pytest

from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView
from tests.unit.freeze_thaw.small_planner import DISTANCES, EPOCHS, paused, planner, trial


def test_a_far_worse_trial_is_left() -> None:
    one = planner()
    others = [paused(row, 50.0, 55.0) for row in (2, 10, 22)]
    contenders = [paused(14, 69.0, 74.0), paused(12, 70.0, 75.0)]
    trials = [*others, *contenders, trial(18, 30.0, 35.0)]
    one.refit(trials)
    action = one.next(trials, current=5, may_start=False)
    assert action is not None
    assert action.trial != 5


def test_a_trial_runs_for_some_epochs_before_it_is_left() -> None:
    others = [paused(row, 50.0, 55.0, 58.0) for row in (2, 10, 22)]
    contenders = [paused(14, 69.0, 74.0, 77.0, 79.0), paused(12, 70.0, 75.0, 78.0, 80.0)]

    def is_left(one: Planner, *recalls: float) -> bool:
        trials = [*others, *contenders, trial(18, *recalls)]
        one.refit(trials)
        return one.next(trials, current=5, may_start=False) != (18, 5)

    assert is_left(planner(9, min_epochs=1), 30.0, 35.0)
    assert not is_left(planner(9), 30.0), "of 9 epochs, 3 are the fewest"
    assert not is_left(planner(9), 30.0, 35.0)
    assert is_left(planner(9), 30.0, 35.0, 38.0)
    assert not is_left(planner(9, min_epochs=4), 30.0, 35.0, 38.0)


def test_workers_count_on_the_fewest_epochs_of_one_another() -> None:
    trials = [paused(12, 60.0, 65.0, 70.0), trial(3, running=True)]
    doubts = [
        planner(9, min_epochs=fewest).posterior(trials).own_GBB[3, 0, 0] for fewest in (1, 3, 6)
    ]
    assert doubts[0] > doubts[1] > doubts[2]


def test_a_search_begins_all_over_the_grid() -> None:
    one = planner()
    trials: list[TrialView] = []
    while len(trials) < 5:
        action = one.next(trials)
        assert action is not None
        if action.trial is None:
            x, y = divmod(action.configuration, 5)
            trials.append(paused(action.configuration, 50.0 + 2 * x - y))
        else:
            view = trials[action.trial]
            trials[action.trial] = paused(view.configuration, *view.recalls, view.recalls[-1] + 5)
        one.refit(trials)
    places = np.array([divmod(view.configuration, 5) for view in trials])
    assert (np.ptp(places, axis=0) >= 3).all()


@pytest.mark.parametrize("min_epochs", [1, 2])
def test_every_other_choice_is_what_promises_most_at_whatever_price(min_epochs: int) -> None:
    one = planner(min_epochs=min_epochs)
    corner = (18, 19, 23, 24)  # where R@1 is highest and an epoch takes longest

    def begun(x: int, y: int) -> TrialView:
        recalls = [40.0 + 5 * x + 5 * y] * min_epochs
        return trial(5 * x + y, *recalls, seconds=2.0 ** (x + y), resumable=True)

    trials = [begun(x, y) for x in (0, 2, 4) for y in (0, 2, 4)]
    trials[-1] = trials[-1]._replace(running=True, resumable=False)  # the leader: no more of it
    one.refit(trials)
    telling = one.next(trials)
    assert telling is not None
    assert telling.configuration not in corner
    odd = [*trials, begun(0, 0)]
    promising = one.next(odd)
    assert promising is not None
    assert promising.configuration in corner
    at_hand = one.next(odd, current=0)
    assert at_hand is not None
    assert at_hand.configuration not in corner, "whether a trial goes on is the other question"


def test_what_was_left_for_good_is_not_begun_anew_for_what_it_promises() -> None:
    line = Planner(np.arange(5)[:, None], [DISTANCES], EPOCHS)
    ended = [trial(0, 50.0), trial(2, 60.0), trial(4, 90.0)]
    line.refit(ended)
    action = line.next(ended)
    assert action is not None
    assert action.configuration == 3, "the best one that wasn't left"
    every = [trial(row, 50.0) for row in range(5)]
    assert line.next(every) is not None


def test_workers_that_choose_one_after_another_choose_apart() -> None:
    one = planner()
    trials = [trial(12, 60.0)]
    for _ in range(4):
        action = one.next(trials)
        assert action is not None
        trials.append(trial(action.configuration, running=True))
    assert len({view.configuration for view in trials}) == len(trials)


def test_of_two_alike_the_quicker_is_trained() -> None:
    one = planner()
    left, right = 10, 14  # at the two ends of the second hyperparameter
    trials = [trial(left, 60.0, 60.0, seconds=1.0), trial(right, 60.0, 60.0, seconds=30.0)]
    action = one.next(trials)
    assert action is not None
    assert action.configuration % 5 < 3


def test_what_is_barred_or_not_allowed_is_not_trained() -> None:
    one = planner()
    trials = [paused(12, 60.0), trial(3, 50.0)]
    everything_else = [row for row in range(25) if row != 7]
    action = one.next(trials, barred=everything_else)
    assert action is not None
    assert action.configuration == 7
    resumed = one.next(trials, may_start=False)
    assert resumed is not None
    assert resumed.trial == 0
    assert one.next(trials, barred=range(25)) is None
    assert one.next([trial(3, 50.0)], may_start=False) is None


def test_what_is_barred_is_not_in_question() -> None:
    line = Planner(np.arange(5)[:, None], [DISTANCES], EPOCHS)
    trials = [
        paused(0, 50.0, 54.0),
        trial(1, *(58.0,) * EPOCHS),
        paused(2, 62.0, 66.0),
        trial(3),
        trial(4),
    ]
    action = line.next(trials, barred=[3, 4])
    assert action is not None
    assert action.configuration in (0, 2), "not the one that is known, for the sake of its like"


def test_a_trial_at_its_end_is_not_gone_on_with() -> None:
    one = planner(2)
    done = trial(12, 60.0, 61.0, resumable=True)
    assert one.next([done], current=0, may_start=False) is None


def test_a_fit_is_taken_up_by_another_planner() -> None:
    one, other = planner(), planner()
    trials = [paused(row, 50.0 + row, 52.0 + row) for row in (0, 6, 12, 18, 24)]
    one.refit(trials)
    taken_up = Planner(other.model.kernel.places_GD, [DISTANCES, DISTANCES], EPOCHS, one.fit)
    assert one.fit.epochs == 10
    np.testing.assert_array_equal(taken_up.posterior(trials).mean_G, one.posterior(trials).mean_G)
    taken_up.refit(trials)
    assert taken_up.fit.epochs == 10, "no new data, no new fit"


def rising(end: float, pace: float, epochs: int) -> list[float]:
    """A curve that has made most of its way after ``pace`` epochs."""
    return [end * (1.0 - 0.6 * np.exp(-epoch / pace)) for epoch in range(1, epochs + 1)]


def trials_of_a_search(one: Planner, curves: list[list[float]], epochs: int) -> list[TrialView]:
    """Of one worker that trains for so many epochs."""
    rng = np.random.default_rng(0)
    trials, at_hand = [trial(12, running=True)], 0
    for _ in range(epochs):
        view = trials[at_hand]
        curve = curves[view.configuration]
        recall = curve[len(view.recalls)] + 0.2 * rng.normal()
        whole = len(view.recalls) + 1 == len(curve)
        trials[at_hand] = trial(view.configuration, *view.recalls, recall, resumable=not whole)
        one.refit(trials)
        if not whole and one.next(trials, current=at_hand) == (view.configuration, at_hand):
            continue
        action = one.next(trials)
        assert action is not None
        if action.trial is None:
            trials.append(trial(action.configuration))
        at_hand = len(trials) - 1 if action.trial is None else action.trial
        trials[at_hand] = trials[at_hand]._replace(running=True, resumable=False)
    return trials


def test_what_rises_late_is_found_though_others_lead_early() -> None:
    epochs = 20
    one = planner(epochs)
    curves = [
        rising(75.0 - 1.5 * abs(x - 1) - abs(y - 2), 12.0 - 2.8 * x, epochs)
        for x in range(5)
        for y in range(5)
    ]
    ends = [curve[-1] for curve in curves]
    first = [curve[4] for curve in curves]
    assert max(ends) - ends[int(np.argmax(first))] > 1.0
    trials = trials_of_a_search(one, curves, 5 * epochs)
    assert max(ends) - ends[one.winner(trials)] < 0.5
