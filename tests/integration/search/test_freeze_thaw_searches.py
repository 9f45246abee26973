"""Whole searches of the sampler and the pruner, as any user of Optuna may run them."""

import json

import optuna
import pytest
from optuna.trial import TrialState

from tests.unit.search.made_up_search import EPOCHS, FINITE, MIXED, recall, search


@pytest.fixture(scope="module")
def finite() -> optuna.Study:
    """A search of a finite space, to look at."""
    return search(FINITE, 14, seed=5)


@pytest.fixture(scope="module")
def mixed() -> optuna.Study:
    """A search of ranges and words, to look at."""
    return search(MIXED, 8)


def test_a_finite_space_is_searched_to_its_best(finite: optuna.Study) -> None:
    best = {"tau": 16, "batch_size": 8}
    assert finite.trials[0].params != best
    assert finite.user_attrs["histsearch.winner"] == best
    complete = finite.get_trials(states=[TrialState.COMPLETE])
    assert 0 < len(complete) < 14, "some are worth their full length, not all"


def test_the_same_seed_makes_the_same_search(finite: optuna.Study, mixed: optuna.Study) -> None:
    for whole, begun in ((finite, search(FINITE, 4, seed=5)), (mixed, search(MIXED, 4))):
        again = [trial.params for trial in begun.trials]
        assert again == [trial.params for trial in whole.trials[:4]]


def test_ranges_and_words_are_searched_too(mixed: optuna.Study) -> None:
    best = max(recall(trial.params, EPOCHS, 0) for trial in mixed.trials)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    at_random = [recall(drawn.ask(MIXED).params, EPOCHS, 0) for _ in range(20)]
    assert best > max(at_random), "of more than twice as many"


def test_a_fit_is_kept_with_the_study_and_fit_for_a_database(finite: optuna.Study) -> None:
    stored = finite.user_attrs["histsearch.fit"]
    assert json.loads(json.dumps(stored)) == stored
    assert stored["epochs"] > 3


def test_an_answer_in_ranges_is_one_that_ran(mixed: optuna.Study) -> None:
    winner = mixed.user_attrs["histsearch.winner"]
    assert winner in [trial.params for trial in mixed.trials[:7]]
    assert json.loads(json.dumps(winner)) == winner
