from collections.abc import Sequence

import numpy as np
import pytest

from histsearch.freeze_thaw.curve_model import PARTS
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import Curve, TrialView

EPOCHS = 6
DISTANCES = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 4


def planner(epochs: int = EPOCHS, min_epochs: int | None = None) -> Planner:
    places = np.array([[i, j] for i in range(5) for j in range(5)])
    return Planner(places, [DISTANCES, DISTANCES], epochs, min_epochs=min_epochs)


def trial(row: int, *recalls: float, seconds: float = 1.0, **state: bool) -> TrialView:
    return TrialView(row, recalls, (seconds,) * len(recalls), **state)


def paused(row: int, *recalls: float) -> TrialView:
    return trial(row, *recalls, resumable=True)


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


def test_only_rivals_are_looked_at_when_nothing_else_is_left() -> None:
    two = Planner(np.array([[0], [2], [4]]), [DISTANCES], EPOCHS)
    trials = [paused(0, 50.0, 55.0), paused(1, 74.0, 79.0), paused(2, 74.5, 79.5)]
    two.refit(trials)
    action = two.next(trials, may_start=False)
    assert action is not None
    assert action.trial in (1, 2)


def chance_of_overtaking(*trials: TrialView, answer: int = 12) -> float:
    one = planner()
    one.refit(trials)
    rng = np.random.default_rng(0)
    return one.chance_of_overtaking(trials, answer, delta=0.5, epsilon=0.05, rng=rng)


WINNER = trial(12, 60.0, 70.0, 75.0, 78.0, 79.5, 80.0)
COMPLETE = [
    trial(row, 55.0, 65.0, 70.0, 73.0, 74.5, 75.0 + down)
    for row, down in ((6, 0.0), (8, -0.5), (16, -1.0))
]
POOR = [paused(row, 40.0, 45.0) for row in (0, 4, 20, 24)]


def test_a_trial_that_is_far_behind_does_not_overtake_the_winner() -> None:
    assert chance_of_overtaking(WINNER, *COMPLETE, *POOR) < 0.01


def test_what_begun_trials_cannot_settle_counts_until_four_configurations_are_complete() -> None:
    near = paused(13, *(recall - 0.5 for recall in WINNER.recalls[:-1]))
    assert chance_of_overtaking(WINNER, *COMPLETE, near) < 0.05
    assert chance_of_overtaking(WINNER, *COMPLETE[1:], near) > 0.05


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
    first, second = one.unseen(trials)
    assert {row // 5 for row in first} == {3}
    assert {row % 5 for row in second} == {1, 2, 3, 4}
    barred = [row for row in range(25) if row % 5 or row // 5 == 3]
    assert one.unseen(trials, barred) == [[], []]


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


def test_the_answer_is_the_mean_of_many_not_the_luck_of_one() -> None:
    one = planner()
    rng = np.random.default_rng(0)
    flat = [70.0] * EPOCHS
    lucky = trial(0, *(value + 1.5 for value in flat))
    steady = [trial(24, *(70.8 + rng.normal(scale=0.3, size=EPOCHS))) for _ in range(6)]
    worse = [trial(0, *(value - 1.0 for value in flat)) for _ in range(3)]
    trials = [lucky, *steady, *worse]
    one.refit(trials)
    assert one.answer(trials).configuration == 24
    assert one.answer(trials).mean == pytest.approx(70.8, abs=0.6)


def test_an_answer_stands_until_another_is_probably_better() -> None:
    one = planner()
    trials = [paused(row, value - 5.0, value) for row, value in ((0, 50.0), (12, 70.0), (24, 60.0))]
    one.refit(trials)
    assert one.answer(trials).configuration == 12
    near = [*trials, *(paused(13, value - 5.0, value) for value in (70.2, 70.4))]
    assert one.answer(near).configuration == 13
    assert one.answer(near, 12).configuration == 12, "a step ahead is no reason to change"
    far = [*near, *(paused(13, value - 5.0, value) for value in (75.0, 76.0, 75.0, 76.0))]
    assert one.answer(far, 12).configuration == 13


def test_an_answer_has_run_and_is_not_ruled_out_where_there_is_another() -> None:
    one = planner()
    trials = [paused(12, 65.0, 70.0), paused(0, 45.0, 50.0), trial(24, running=True)]
    one.refit(trials)
    assert one.posterior(trials).mean_G.argmax() not in (0, 12)
    assert one.answer(trials, 24).configuration == 12, "what stood has not run"
    assert one.answer(trials, 12, ruled_out=[12]).configuration == 0
    assert one.answer(trials, ruled_out=range(25)).configuration == 12
    assert one.answer([]).configuration in range(25)


def is_decided(
    one: Planner, trials: list[TrialView], answer: int, delta: float, barred: Sequence[int] = ()
) -> bool:
    return one.doubt(trials, answer, delta, 0.05, np.random.default_rng(0), barred) < 0.05


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
    curves = [Curve(view.configuration, view.recalls) for view in trials]
    alone = one.posterior(trials).chance_of_better(1, 0.5, rng)
    weights, models = zip(*one.model.draws(curves, 32, rng), strict=True)
    drawn = [model.posterior(curves, ()).chance_of_better(1, 0.5, rng) for model in models]
    assert sum(weights) == pytest.approx(1.0)
    assert max(weights) < 0.5
    assert min(drawn) < 0.5 * alone
    assert max(drawn) > 2.0 * alone


def test_a_fit_is_taken_up_by_another_planner() -> None:
    one, other = planner(), planner()
    trials = [paused(row, 50.0 + row, 52.0 + row) for row in (0, 6, 12, 18, 24)]
    one.refit(trials)
    taken_up = Planner(other.model.places_GD, [DISTANCES, DISTANCES], EPOCHS, one.fit)
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
    assert max(ends) - ends[one.answer(trials).configuration] < 0.5
