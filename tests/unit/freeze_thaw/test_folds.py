"""Trials that validate on different folds."""

import numpy as np
import pytest

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.earlier_study import learn_from
from histsearch.freeze_thaw.fitting import fit_settings
from histsearch.freeze_thaw.parameters import Choices
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.trials import Curve, Pending, TrialView

EPOCHS = 4
SPACE = SearchSpace({"tau": Choices((4, 8, 16, 32, 64))})
CANDIDATES = SPACE.candidates((), (), np.random.default_rng(0))
EFFECTS = np.array([6.0, -6.0, 0.0])


def model(folds: int) -> CurveModel:
    return CurveModel(CANDIDATES.places_GD, CANDIDATES.distances_D, EPOCHS, folds=folds)


def curve(row: int, fold: int, length: int = EPOCHS) -> Curve:
    """Each row is worth a point more than the one before."""
    luck = np.random.default_rng((row, fold)).normal(scale=0.3)
    last = 60.0 + row + EFFECTS[fold] + luck
    return Curve(row, tuple(last - 3.0 * (EPOCHS - 1 - t) for t in range(length)), fold)


# The better half was seen on the hard fold, the worse on the easy one; row 2 links them.
APART = [curve(0, 0), curve(1, 0), curve(2, 0), curve(2, 1), curve(2, 2), curve(3, 1), curve(4, 1)]


def fitted(folds: int) -> CurveModel:
    one = model(folds)
    fit_settings(one, APART, 40)
    return one


def test_the_folds_effects_are_recovered() -> None:
    found = Posterior(fitted(3), APART, []).fold_effects()
    np.testing.assert_allclose(found, EFFECTS, atol=1.5)
    assert fitted(3).settings.folds_E[0] == pytest.approx(EFFECTS.std(), rel=0.5)


def test_configurations_of_different_folds_are_ranked_without_the_folds_difference() -> None:
    ranked = np.argsort(Posterior(fitted(3), APART, []).mean_G)
    assert ranked.tolist() == [0, 1, 2, 3, 4]
    misled = np.argsort(Posterior(fitted(1), APART, []).mean_G)
    assert misled[-1] in (0, 1)


def test_the_expected_score_is_the_mean_over_folds() -> None:
    posterior = Posterior(fitted(3), APART, [])
    assert posterior.mean_G[2] == pytest.approx(62.0 + EFFECTS.mean(), abs=1.0)
    mean_T, _ = posterior.curve(2)
    np.testing.assert_allclose(np.diff(mean_T), 3.0, atol=0.5)
    assert mean_T[-1] == pytest.approx(posterior.mean_G[2])


def test_what_isnt_known_of_folds_leaves_a_difference_in_doubt() -> None:
    one = model(2)
    values_S = one.settings.values_S.copy()
    values_S[len(one.settings.folds_E)] = np.log(50.0)  # of tau's effect
    one.settings = one.settings.at(values_S)
    same, other = (
        Posterior(one, [curve(1, 0), curve(3, fold)], []).deviations_from(3)[1] for fold in (0, 1)
    )
    assert other**2 == pytest.approx(same**2 + 2.0 * one.settings.folds_E[0] ** 2, rel=0.2)


def test_an_epoch_to_come_counts_as_seen_on_its_fold() -> None:
    one, known = model(2), [curve(1, 0), curve(2, 1)]
    pending = Posterior(one, known, [Pending(3, 0, 2, fold=1)])
    seen = Posterior(one, [*known, curve(3, 1, length=2)], [])
    np.testing.assert_allclose(pending.own_GBB, seen.own_GBB, rtol=1e-4)


def test_an_earlier_study_teaches_without_what_its_folds_add() -> None:
    views = [TrialView(one.configuration, one.recalls, fold=one.fold) for one in APART]
    learned = learn_from("cars", CANDIDATES, views, EPOCHS, folds=3)
    expected = learned.expects(CANDIDATES.configurations)[:, 0]
    assert np.argsort(expected).tolist() == [0, 1, 2, 3, 4]
    assert not learned.settings.has_folds


def test_the_level_that_folds_share_leaves_no_configuration_in_doubt() -> None:
    seen = [curve(1, number % 2) for number in range(40)]
    doubts = [Posterior(model(folds), seen, []).own_GBB[1, 0, 0] for folds in (1, 2)]
    assert doubts[1] == pytest.approx(doubts[0], rel=0.2)
