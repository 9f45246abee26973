"""The marginal likelihood of the settings."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from histsearch.freeze_thaw.likelihood import MarginalLikelihood
from tests.unit.freeze_thaw.small_model import (
    above_prior,
    model,
    some_curves,
    some_settings,
    whole_prior,
)

CASES = [(0, 0, 1), (1, 0, 3), (2, 1, 2), (3, 2, 1)]
"""Of seed, earlier studies and folds."""


@pytest.mark.parametrize(("seed", "earlier", "folds"), CASES)
def test_likelihood_is_that_of_all_observations_at_once(
    seed: int, earlier: int, folds: int
) -> None:
    one, curves = model(earlier, folds), some_curves(seed, folds=folds)
    settings = some_settings(seed, earlier, folds)
    y = above_prior(one, settings, curves)
    covariance, _ = whole_prior(one, settings, curves)
    _, log_determinant = np.linalg.slogdet(covariance)
    expected = -0.5 * (y @ np.linalg.solve(covariance, y) + log_determinant)
    value, _ = MarginalLikelihood(one, curves).log_likelihood(settings)
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("seed", "earlier", "folds"), CASES)
def test_gradient_of_the_likelihood(seed: int, earlier: int, folds: int) -> None:
    likelihood = MarginalLikelihood(model(earlier, folds), some_curves(seed, folds=folds))
    settings = some_settings(seed, earlier, folds)
    _, gradient = likelihood.log_likelihood(settings)

    def value(values_S: np.ndarray) -> float:
        return likelihood.log_likelihood(settings.at(values_S))[0]

    by_differences = approx_fprime(settings.values_S, value, 1e-6)
    np.testing.assert_allclose(gradient, by_differences, rtol=1e-3, atol=1e-2)
