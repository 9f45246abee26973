"""Fits of the settings."""

import numpy as np
import pytest

from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.fitting import fit_settings
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.trials import Curve, Pending
from tests.unit.freeze_thaw.small_model import (
    DISTANCES,
    EPOCHS,
    PLACES,
    model,
)


def test_fitting_finds_the_hyperparameter_that_matters() -> None:
    rng = np.random.default_rng(0)
    curves = [
        Curve(row, tuple(50 + 6.0 * PLACES[row, 1] + rng.normal(size=EPOCHS)))
        for row in range(len(PLACES))
    ]
    one = model()
    fit_settings(one, curves, 50)
    first, second, third = np.exp(one.settings.main_D)
    assert second > 4 * max(first, third)
    assert Posterior(one, curves, []).mean_G.argmax() in np.flatnonzero(PLACES[:, 1] == 3)


@pytest.mark.parametrize("epochs", [1, 2, 100])
def test_any_length_of_runs(epochs: int) -> None:
    one = CurveModel(PLACES, DISTANCES, epochs)
    curves = [Curve(row, (70.0,) * epochs) for row in range(4)] + [Curve(1, (70.0,))] * 50
    fit_settings(one, curves, 5)
    posterior = Posterior(one, curves, [Pending(2, epochs - 1, epochs)])
    assert np.isfinite(posterior.mean_G).all()
    assert (posterior.deviations_from(0) > 0).all()
