"""What one study teaches another, from trials to expectations."""

import numpy as np
import pytest

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.earlier_study import learn_from
from histsearch.freeze_thaw.parameters import Range
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.trials import TrialView
from tests.unit.freeze_thaw.cars import EPOCHS, SPACE, configuration, earlier_study, recall


def test_the_best_of_the_earlier_study_is_expected_most_of() -> None:
    learned = earlier_study()
    every = SPACE.candidates((), (), np.random.default_rng(0)).configurations
    f_G = learned.expects(every)[:, 0]
    assert every[int(f_G.argmax())] == configuration(16, 8)
    truth_G = np.array([recall(one) for one in every])
    assert f_G.mean() == pytest.approx(0.0)
    assert np.ptp(f_G - truth_G) < 1.0, "differences are those of the earlier study, in points"


def test_values_of_another_space_are_looked_at_as_the_nearest() -> None:
    learned = earlier_study()
    asked = [configuration(tau, 8) for tau in (15, 16, 1000, 32)]
    near, itself, far, last = learned.expects(asked)
    np.testing.assert_allclose(near, itself)
    np.testing.assert_allclose(far, last)
    assert (itself != last).any()


def test_a_parameter_that_is_not_searched_has_its_usual_value() -> None:
    learned = earlier_study()
    left_out = {"tau": 16, "lr": 0.1}
    usual, best, other = learned.expects([left_out, configuration(16, 8), configuration(16, 32)])
    np.testing.assert_allclose(usual, best)
    fixed = learned.with_usual({"batch_size": 32, "epochs": 7})
    usual, best, other = fixed.expects([left_out, configuration(16, 8), configuration(16, 32)])
    np.testing.assert_allclose(usual, other)
    assert (best != other).any()


def test_of_an_unknown_word_the_average_is_expected() -> None:
    asked = [configuration(16, 8), configuration(4, 32), configuration(16, 8, "sgd")]
    best, worst, unknown = earlier_study().expects(asked)
    np.testing.assert_allclose(best + worst, 0.0, atol=1e-9)
    assert not unknown.any()


def test_ranges_teach_lists() -> None:
    space = SearchSpace({"tau": Range(4, 64, log=True)})
    candidates = space.candidates(
        [{"tau": float(tau)} for tau in range(4, 64, 6)], (), np.random.default_rng(0)
    )
    views = [
        TrialView(row, (50.0 + one["tau"], 50.0 + one["tau"]))
        for row, one in enumerate(candidates.configurations[:10])
    ]
    learned = learn_from("sop", candidates, views, EPOCHS)
    low, high, beyond, none = learned.expects([{"tau": tau} for tau in (4, 58, 100, 0)])[:, 0]
    assert high - low > 20
    assert beyond >= high
    assert none == 0.0


@pytest.mark.parametrize("sign", [1.0, 0.0, -1.0])
def test_what_many_trials_show_outweighs_earlier_studies(sign: float) -> None:
    candidates = SPACE.candidates((), (), np.random.default_rng(0))
    truth_G = np.array([recall(one) for one in candidates.configurations])
    lucks = np.random.default_rng(0).normal(scale=0.5, size=(len(truth_G), EPOCHS))
    views = [TrialView(row, tuple(truth + lucks[row])) for row, truth in enumerate(truth_G)]
    expected = sign * earlier_study().expects(candidates.configurations)
    planner = Planner(
        candidates.places_GD, candidates.distances_D, EPOCHS, earlier_KGB=expected[None]
    )
    for _ in range(3):
        planner.fit_to(views)
    assert candidates.configurations[planner.winner(views)] == configuration(16, 8)
    assert np.abs(planner.posterior(views).mean_G - truth_G).max() < 1.0
