"""Whole searches by the planner, of made-up curves."""

import numpy as np

from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView
from tests.unit.freeze_thaw.small_planner import paused, planner, trial


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
    epochs = 12
    one = planner(epochs)
    curves = [
        rising(75.0 - 1.5 * abs(x - 1) - abs(y - 2), 7.0 - 1.6 * x, epochs)
        for x in range(5)
        for y in range(5)
    ]
    ends = [curve[-1] for curve in curves]
    first = [curve[2] for curve in curves]
    assert max(ends) - ends[int(np.argmax(first))] > 1.0
    trials = trials_of_a_search(one, curves, 5 * epochs)
    assert max(ends) - ends[one.winner(trials)] < 0.5
