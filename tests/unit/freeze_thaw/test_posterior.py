"""The posterior of all curves."""

import numpy as np
import pytest

from histsearch.freeze_thaw import white_values
from histsearch.freeze_thaw.curve_basis import basis, coupling
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.fitting import fit_settings
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.shared_curve import shared_curve_covariance
from histsearch.freeze_thaw.trials import Curve, Pending
from tests.unit.freeze_thaw.small_model import (
    DISTANCES,
    EPOCHS,
    PLACES,
    above_prior,
    fold_covariance,
    model,
    some_curves,
    some_settings,
    whole_prior,
)


@pytest.mark.parametrize(("seed", "earlier", "folds"), [(0, 0, 1), (1, 0, 3), (2, 1, 2), (3, 2, 1)])
def test_posterior_mean_is_that_of_all_observations_at_once(
    seed: int, earlier: int, folds: int
) -> None:
    one, curves = model(earlier, folds), some_curves(seed, folds=folds)
    one.settings = some_settings(seed, earlier, folds)
    y = above_prior(one, one.settings, curves)
    covariance, to_last = whole_prior(one, one.settings, curves)
    expected = one.means_GB[:, 0] + to_last @ np.linalg.solve(covariance, y)
    np.testing.assert_allclose(Posterior(one, curves, []).mean_G, expected, rtol=1e-3)


@pytest.mark.parametrize(("seed", "earlier", "folds"), [(0, 0, 1), (2, 1, 1), (3, 1, 3)])
def test_a_configurations_curve_is_that_of_all_observations_at_once(
    seed: int, earlier: int, folds: int
) -> None:
    one, curves = model(earlier, folds), some_curves(seed, folds=folds)
    one.settings = settings = some_settings(seed, earlier, folds)
    basis_TB, coupling_BB = basis(EPOCHS, settings.bend), coupling(settings)
    every = np.arange(len(PLACES))
    shared = shared_curve_covariance(basis_TB) + fold_covariance(one, settings) / folds
    kernel = one.kernel.covariance(settings, every, every)
    points = [(c.configuration, t) for c in curves for t in range(len(c.recalls))]
    posterior, (covariance, _) = Posterior(one, curves, []), whole_prior(one, settings, curves)
    for row in (curves[0].configuration, int(every[-1])):
        prior_TT = kernel[row, row] * basis_TB @ coupling_BB @ basis_TB.T + shared
        with_data = np.stack(
            [
                kernel[row, b] * basis_TB @ coupling_BB @ basis_TB[s] + shared[:, s]
                for b, s in points
            ],
            axis=1,
        )
        y = above_prior(one, settings, curves)
        mean_T, covariance_TT = posterior.curve(row)
        expected_T = basis_TB @ one.means_GB[row] + with_data @ np.linalg.solve(covariance, y)
        left_TT = prior_TT - with_data @ np.linalg.solve(covariance, with_data.T)
        np.testing.assert_allclose(mean_T, expected_T, rtol=1e-3)
        np.testing.assert_allclose(covariance_TT, left_TT, rtol=1e-2, atol=1e-3)
        assert mean_T[-1] == pytest.approx(posterior.mean_G[row])


def test_seen_epochs_leave_less_doubt_and_pending_ones_count_as_seen() -> None:
    one, curves = model(), some_curves(0)
    # One epoch of a configuration that wasn't tried.
    new = next(row for row in range(len(PLACES)) if all(row != c.configuration for c in curves))
    before = Posterior(one, curves, [])
    pending = Posterior(one, curves, [Pending(new, 0, 1)])
    seen = Posterior(one, [*curves, Curve(new, (60.0,))], [])
    assert pending.own_GBB[new, 0, 0] < before.own_GBB[new, 0, 0]
    assert pending.own_GBB[new, 0, 0] == pytest.approx(seen.own_GBB[new, 0, 0], rel=1e-4)
    np.testing.assert_allclose(pending.mean_G, before.mean_G)


def test_later_epochs_tell_more_of_the_end() -> None:
    posterior = Posterior(model(), [], [])
    bring = [posterior.foresee(0, after)[0, 0] for after in range(1, EPOCHS + 1)]
    assert bring == sorted(bring)
    # What was seen already isn't told again.
    together = posterior.foresee(0, 2)
    apart = posterior.foresee(0, 1) + posterior.foresee(1, 2)
    np.testing.assert_allclose(together, apart, rtol=1e-8)


def test_chance_that_another_is_better() -> None:
    one = model()
    rng = np.random.default_rng(0)
    few = [Curve(row, (60.0 + row,)) for row in (0, 5, 9)]
    many = [
        Curve(row, tuple(50 + 8.0 * PLACES[row, 1] + 0.1 * rng.normal(size=EPOCHS)))
        for row in range(len(PLACES))
        for _ in range(5)
    ]
    open_yet = Posterior(one, few, [])
    best = int(open_yet.mean_G.argmax())
    undecided = open_yet.chance_of_better(best, 0.5, rng)
    assert open_yet.chance_of_better(best, 20.0, rng) < undecided
    fit_settings(one, many, 20)
    decided = Posterior(one, many, [])
    best, worst = int(decided.mean_G.argmax()), int(decided.mean_G.argmin())
    assert decided.chance_of_better(best, 2.0, rng) < 0.05 < undecided
    assert decided.chance_of_better(worst, 2.0, rng) > 0.95


def test_what_is_barred_has_no_chance() -> None:
    rng = np.random.default_rng(0)
    row = CurveModel(np.arange(3)[:, None], [DISTANCES[0]], EPOCHS)
    known = [Curve(0, (60.0,) * EPOCHS)] * 9 + [Curve(1, (61.0,) * EPOCHS)] * 9
    posterior = Posterior(row, known, [])
    assert posterior.chance_of_better(1, 0.5, rng) > 0.1, "the third was never tried"
    assert posterior.chance_of_better(1, 0.5, rng, [2]) < 0.05
    assert posterior.chance_of_better(1, 0.5, rng, [0, 2]) == 0.0
    assert posterior.chance_of_better(1, 0.5, rng, [0, 1, 2]) == 0.0


def test_chance_of_beating_one() -> None:
    row = CurveModel(np.arange(3)[:, None], [DISTANCES[0]], EPOCHS)
    known = [Curve(0, (60.0,) * EPOCHS)] * 9 + [Curve(1, (61.0,) * EPOCHS)] * 9
    chances = Posterior(row, known, []).chance_of_beating(1)
    assert chances[0] < 0.1
    assert chances[1] == 0.5
    assert 0.1 < chances[2] < 0.9


def test_where_there_are_ranges_some_configurations_stand_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as there may be; what they say of the others is hardly less."""
    places = np.arange(60)[:, None]
    distances = np.abs(np.subtract.outer(np.arange(60), np.arange(60))) / 59
    one = CurveModel(places, [distances], 4)
    ends = 50.0 + 10.0 * np.sin(places[:, 0] / 10.0)
    curves = [Curve(row, (ends[row] - 5.0, ends[row] - 2.0, ends[row])) for row in range(0, 60, 2)]
    whole = Posterior(one, curves, [])
    monkeypatch.setattr(white_values, "_MOST_SPANNING", 12)
    spanned = Posterior(one, curves, [])
    assert len(spanned.pivots) == 12 < len(whole.pivots)
    assert np.abs(spanned.mean_G - whole.mean_G).max() < 1.0
    assert spanned.own_GBB[:, 0, 0].min() > 0.0
