"""A search in memory, as it is shown its trials."""

import numpy as np

from histsearch.freeze_thaw.candidates import MOST, SearchSpace
from histsearch.freeze_thaw.parameters import Choices, Range
from histsearch.freeze_thaw.search import FreezeThawSearch
from histsearch.freeze_thaw.trials import Configuration, Trial

EPOCHS = 4
SMALL = SearchSpace({"tau": Choices((4, 8, 16))})
LARGE = SearchSpace({"lr": Range(1e-4, 1e-1, log=True), "tau": Range(4, 64)})


def complete(configuration: Configuration, end: float) -> Trial:
    return Trial(configuration, (end - 10.0, end - 5.0, end - 2.0, end))


def test_of_a_large_space_another_part_is_looked_at_with_another_seed_only() -> None:
    search = FreezeThawSearch(LARGE, EPOCHS, draw=(0, 0, 0))
    before = search.candidates
    known = before.configurations[7]
    search.observe([complete(known, 80.0)], draw=(0, 0, 0))
    assert search.candidates is before
    search.observe([complete(known, 80.0)], draw=(0, 1, 4))
    assert search.candidates is not before
    assert search.candidates.configurations[0] == known
    assert len(search.candidates.configurations) == MOST
    others = [one for one in search.candidates.configurations[1:] if one in before.configurations]
    assert not others


def test_a_trial_from_elsewhere_is_among_the_candidates() -> None:
    search = FreezeThawSearch(LARGE, EPOCHS)
    foreign = {"lr": 0.0123, "tau": 17.0}
    assert search.candidates.row(foreign) is None
    search.observe([complete(foreign, 80.0)])
    assert search.winner() == foreign


def test_another_draw_keeps_the_fit() -> None:
    search = FreezeThawSearch(LARGE, EPOCHS)
    trials = [complete(one, 80.0) for one in search.candidates.configurations[:3]]
    search.observe(trials)
    assert search.refit()
    fit = search.planner.fit
    search.observe(trials, draw=1)
    assert search.planner.fit == fit
    assert not search.refit(), "no new data, no new fit"


def test_what_failed_is_barred_and_does_not_win_unless_it_ran_to_its_end() -> None:
    trials = [
        complete({"tau": 4}, 60.0),
        Trial({"tau": 8}, (70.0, 75.0), failed=True),
        complete({"tau": 16}, 90.0)._replace(failed=True),
    ]
    search = FreezeThawSearch(SMALL, EPOCHS, trials)
    assert search.barred == [1, 2]
    assert search.ruled_out == [1]
    assert search.winner() == {"tau": 16}
    assert search.ask_for_new([np.random.default_rng(0)]) == {"tau": 4}


def test_a_new_trial_has_the_fixed_values() -> None:
    search = FreezeThawSearch(SMALL, EPOCHS, [complete({"tau": 4}, 60.0)])
    rngs = [np.random.default_rng(0)]
    assert search.ask_for_new(rngs, {"tau": 16}) == {"tau": 16}
    assert search.ask_for_new(rngs, {"tau": 5})["tau"] in (4, 8, 16), "which no candidate has"


def test_the_trial_at_hand_is_one_that_may_be_left() -> None:
    good = complete({"tau": 4}, 90.0)._replace(recalls=(85.0, 88.0, 89.0), resumable=True)
    bad = Trial({"tau": 16}, (5.0, 6.0), running=True)
    search = FreezeThawSearch(SMALL, EPOCHS, [good, bad])
    search.refit()
    action = search.ask(current=1, may_start=False)
    assert action is not None
    assert action.trial == 0
