from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from histsearch.freeze_thaw import curve_model
from histsearch.freeze_thaw.curve_model import (
    PARTS,
    CurveModel,
    Settings,
    _Problem,
    basis,
    prior,
    trial_covariance,
)
from histsearch.freeze_thaw.trials import Curve, Pending

EPOCHS = 5
SIZES = (3, 4, 2)
PLACES = np.array([[i, j, k] for i in range(3) for j in range(4) for k in range(2)])
DISTANCES = [np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (n - 1) for n in SIZES]


def model(earlier: int = 0) -> CurveModel:
    """A model with what so many earlier studies expect."""
    expected = np.random.default_rng(earlier).normal(scale=4.0, size=(earlier, len(PLACES), PARTS))
    return CurveModel(PLACES, DISTANCES, EPOCHS, expected)


def some_settings(seed: int, earlier: int = 0) -> Settings:
    means, _ = prior(len(SIZES), earlier)
    return Settings(means + 0.3 * np.random.default_rng(seed).normal(size=len(means)), earlier)


def above_prior(one: CurveModel, settings: Settings, curves: Sequence[Curve]) -> np.ndarray:
    """All observations, less what was expected of them."""
    basis_TB = basis(EPOCHS, settings.bend)
    return np.concatenate(
        [
            curve.recalls - basis_TB[: len(curve.recalls)] @ one.means_GB[curve.configuration]
            for curve in curves
        ]
    )


def some_curves(seed: int, count: int = 12) -> list[Curve]:
    rng = np.random.default_rng(seed)
    return [
        Curve(
            int(rng.integers(len(PLACES))),
            tuple(60 + 5 * rng.normal(size=int(rng.integers(1, EPOCHS + 1)))),
        )
        for _ in range(count)
    ]


def whole_prior(
    one: CurveModel, settings: Settings, curves: Sequence[Curve]
) -> tuple[np.ndarray, np.ndarray]:
    """The covariance of all observations, and of each configuration's last R@1 with them."""
    basis_TB = basis(EPOCHS, settings.bend)
    every = np.arange(len(PLACES))
    kernel = one.kernel(settings, every, every)
    coupling = one.coupling(settings)
    luck = trial_covariance(settings, basis_TB)
    shared = one.curve_covariance(basis_TB)
    points = [(i, c.configuration, t) for i, c in enumerate(curves) for t in range(len(c.recalls))]
    covariance = np.array(
        [
            [
                basis_TB[t] @ coupling @ basis_TB[s] * kernel[a, b]
                + shared[t, s]
                + (luck[t, s] if i == j else 0.0)
                for j, b, s in points
            ]
            for i, a, t in points
        ]
    )
    to_last = np.array(
        [
            [coupling[0] @ basis_TB[s] * kernel[g, b] + shared[-1, s] for _, b, s in points]
            for g in every
        ]
    )
    return covariance, to_last


@pytest.mark.parametrize(("seed", "earlier"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_likelihood_is_that_of_all_observations_at_once(seed: int, earlier: int) -> None:
    one, settings, curves = model(earlier), some_settings(seed, earlier), some_curves(seed)
    y = above_prior(one, settings, curves)
    covariance, _ = whole_prior(one, settings, curves)
    _, log_determinant = np.linalg.slogdet(covariance)
    expected = -0.5 * (y @ np.linalg.solve(covariance, y) + log_determinant)
    value, _ = _Problem(one, curves).log_likelihood(settings)
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("seed", "earlier"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_gradient_of_the_likelihood(seed: int, earlier: int) -> None:
    problem = _Problem(model(earlier), some_curves(seed))
    settings = some_settings(seed, earlier)
    _, gradient = problem.log_likelihood(settings)

    def value(values_S: np.ndarray) -> float:
        return problem.log_likelihood(Settings(values_S, earlier))[0]

    by_differences = approx_fprime(settings.values_S, value, 1e-6)
    np.testing.assert_allclose(gradient, by_differences, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("seed", "earlier"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_posterior_mean_is_that_of_all_observations_at_once(seed: int, earlier: int) -> None:
    one, curves = model(earlier), some_curves(seed)
    one.settings = some_settings(seed, earlier)
    y = above_prior(one, one.settings, curves)
    covariance, to_last = whole_prior(one, one.settings, curves)
    expected = one.means_GB[:, 0] + to_last @ np.linalg.solve(covariance, y)
    np.testing.assert_allclose(one.posterior(curves, []).mean_G, expected, rtol=1e-3)


@pytest.mark.parametrize(("seed", "earlier"), [(0, 0), (2, 1)])
def test_a_configurations_curve_is_that_of_all_observations_at_once(
    seed: int, earlier: int
) -> None:
    one, curves = model(earlier), some_curves(seed)
    one.settings = settings = some_settings(seed, earlier)
    basis_TB, coupling = basis(EPOCHS, settings.bend), one.coupling(settings)
    shared, every = one.curve_covariance(basis_TB), np.arange(len(PLACES))
    kernel = one.kernel(settings, every, every)
    points = [(c.configuration, t) for c in curves for t in range(len(c.recalls))]
    posterior, (covariance, _) = one.posterior(curves, []), whole_prior(one, settings, curves)
    for row in (curves[0].configuration, int(every[-1])):
        prior_TT = kernel[row, row] * basis_TB @ coupling @ basis_TB.T + shared
        with_data = np.stack(
            [kernel[row, b] * basis_TB @ coupling @ basis_TB[s] + shared[:, s] for b, s in points],
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
    before = one.posterior(curves, [])
    pending = one.posterior(curves, [Pending(new, 0, 1)])
    seen = one.posterior([*curves, Curve(new, (60.0,))], [])
    assert pending.own_GBB[new, 0, 0] < before.own_GBB[new, 0, 0]
    assert pending.own_GBB[new, 0, 0] == pytest.approx(seen.own_GBB[new, 0, 0], rel=1e-4)
    np.testing.assert_allclose(pending.mean_G, before.mean_G)


def test_later_epochs_tell_more_of_the_end() -> None:
    posterior = model().posterior([], [])
    bring = [posterior.foresee(0, after)[0, 0] for after in range(1, EPOCHS + 1)]
    assert bring == sorted(bring)
    # What was seen already isn't told again.
    together = posterior.foresee(0, 2)
    apart = posterior.foresee(0, 1) + posterior.foresee(1, 2)
    np.testing.assert_allclose(together, apart, rtol=1e-8)


def test_fitting_finds_the_hyperparameter_that_matters() -> None:
    rng = np.random.default_rng(0)
    curves = [
        Curve(row, tuple(50 + 6.0 * PLACES[row, 1] + rng.normal(size=EPOCHS)))
        for row in range(len(PLACES))
    ]
    one = model()
    one.fit(curves, 50)
    first, second, third = np.exp(one.settings.main_D)
    assert second > 4 * max(first, third)
    assert one.posterior(curves, []).mean_G.argmax() in np.flatnonzero(PLACES[:, 1] == 3)


def test_chance_that_another_is_better() -> None:
    one = model()
    rng = np.random.default_rng(0)
    few = [Curve(row, (60.0 + row,)) for row in (0, 5, 9)]
    many = [
        Curve(row, tuple(50 + 8.0 * PLACES[row, 1] + 0.1 * rng.normal(size=EPOCHS)))
        for row in range(len(PLACES))
        for _ in range(5)
    ]
    open_yet = one.posterior(few, [])
    best = int(open_yet.mean_G.argmax())
    undecided = open_yet.chance_of_better(best, 0.5, rng)
    assert open_yet.chance_of_better(best, 20.0, rng) < undecided
    one.fit(many, 50)
    decided = one.posterior(many, [])
    best, worst = int(decided.mean_G.argmax()), int(decided.mean_G.argmin())
    assert decided.chance_of_better(best, 2.0, rng) < 0.05 < undecided
    assert decided.chance_of_better(worst, 2.0, rng) > 0.95


def test_what_is_barred_has_no_chance() -> None:
    rng = np.random.default_rng(0)
    row = CurveModel(np.arange(3)[:, None], [DISTANCES[0]], EPOCHS)
    known = [Curve(0, (60.0,) * EPOCHS)] * 9 + [Curve(1, (61.0,) * EPOCHS)] * 9
    posterior = row.posterior(known, [])
    assert posterior.chance_of_better(1, 0.5, rng) > 0.1, "the third was never tried"
    assert posterior.chance_of_better(1, 0.5, rng, [2]) < 0.05
    assert posterior.chance_of_better(1, 0.5, rng, [0, 2]) == 0.0
    assert posterior.chance_of_better(1, 0.5, rng, [0, 1, 2]) == 0.0


def test_chance_of_beating_one() -> None:
    row = CurveModel(np.arange(3)[:, None], [DISTANCES[0]], EPOCHS)
    known = [Curve(0, (60.0,) * EPOCHS)] * 9 + [Curve(1, (61.0,) * EPOCHS)] * 9
    chances = row.posterior(known, []).chance_of_beating(1)
    assert chances[0] < 0.1
    assert chances[1] == 0.5
    assert 0.1 < chances[2] < 0.9


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_any_length_of_runs(epochs: int) -> None:
    one = CurveModel(PLACES, DISTANCES, epochs)
    curves = [Curve(row, (70.0,) * epochs) for row in range(4)] + [Curve(1, (70.0,))] * 50
    one.fit(curves, 5)
    posterior = one.posterior(curves, [Pending(2, epochs - 1, epochs)])
    assert np.isfinite(posterior.mean_G).all()
    assert (posterior.deviations_from(0) > 0).all()


def test_where_there_are_ranges_some_configurations_stand_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as there may be; what they say of the others is hardly less."""
    places = np.arange(60)[:, None]
    distances = np.abs(np.subtract.outer(np.arange(60), np.arange(60))) / 59
    one = CurveModel(places, [distances], 4)
    ends = 50.0 + 10.0 * np.sin(places[:, 0] / 10.0)
    curves = [Curve(row, (ends[row] - 5.0, ends[row] - 2.0, ends[row])) for row in range(0, 60, 2)]
    whole = one.posterior(curves, [])
    monkeypatch.setattr(curve_model, "_MOST_SPANNING", 12)
    spanned = one.posterior(curves, [])
    assert len(spanned.pivots) == 12 < len(whole.pivots)
    assert np.abs(spanned.mean_G - whole.mean_G).max() < 1.0
    assert spanned.own_GBB[:, 0, 0].min() > 0.0
