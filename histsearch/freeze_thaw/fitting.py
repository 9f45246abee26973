"""Fits of the model's settings: the mode of their posterior, and draws around it."""

# S = hyperparameters of the model, X = draws

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
from scipy.optimize import minimize

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.likelihood import MarginalLikelihood
from histsearch.freeze_thaw.trials import Curve

_MOST_TO_FIT = 200
_FARTHEST = 4.0  # standard deviations of the prior that a fit may go to
_MODE_ITERATIONS = 40
_STEP = 0.01  # of the standardised settings, to see how the likelihood bends


def fit_settings(model: CurveModel, curves: Sequence[Curve], iterations: int) -> None:
    """Move the settings towards their posterior's mode, from where they stand.

    Of more than `_MOST_TO_FIT` configurations, those with the longest curves are looked at.
    """
    bounds = list(
        zip(
            model.prior_means_S - _FARTHEST * model.prior_deviations_S,
            model.prior_means_S + _FARTHEST * model.prior_deviations_S,
            strict=True,
        )
    )
    found = minimize(
        _objective(model, curves),
        model.settings.values_S,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxfun": 2 * iterations},
    )
    model.settings = model.settings.at(found.x)


def draw_settings(
    model: CurveModel, curves: Sequence[Curve], number: int, rng: np.random.Generator
) -> list[tuple[float, CurveModel]]:
    """The model with settings drawn from their posterior; weights, whose sum is 1, and models.

    They are drawn by Laplace's approximation, a normal distribution around the mode whose
    precision is the curvature there, and weighed by what the posterior is above it. A
    direction in which the data seem to know less than the prior counts as known by the prior.
    """
    mode = copy(model)
    fit_settings(mode, curves, _MODE_ITERATIONS)
    objective, mode_S = _objective(mode, curves), mode.settings.values_S
    scale_S = model.prior_deviations_S
    steps_SS = _STEP * np.diag(scale_S)
    slopes_SS = np.array([objective(mode_S + step_S)[1] for step_S in steps_SS])
    curvature_SS = scale_S * (slopes_SS - objective(mode_S)[1]) / _STEP
    precisions_S, axes_SS = np.linalg.eigh(0.5 * (curvature_SS + curvature_SS.T))
    factor_SS = scale_S[:, None] * axes_SS / np.sqrt(np.maximum(precisions_S, 1.0))
    white_XS = rng.normal(size=(number, len(mode_S)))
    farthest_S = _FARTHEST * scale_S
    drawn_XS = np.clip(
        mode_S + white_XS @ factor_SS.T,
        model.prior_means_S - farthest_S,
        model.prior_means_S + farthest_S,
    )
    logs_X = np.array([-objective(drawn_S)[0] for drawn_S in drawn_XS])
    logs_X += 0.5 * (white_XS**2).sum(axis=1)
    weights_X = np.exp(logs_X - logs_X.max())
    weights_X /= weights_X.sum()
    models = [copy(model) for _ in drawn_XS]
    for drawn, drawn_S in zip(models, drawn_XS, strict=True):
        drawn.settings = model.settings.at(drawn_S)
    return list(zip(weights_X.tolist(), models, strict=True))


def _objective(
    model: CurveModel, curves: Sequence[Curve]
) -> Callable[[Array], tuple[float, Array]]:
    """The negative logarithm of the settings' posterior, and its gradient (S,)."""
    likelihood = MarginalLikelihood(model, _longest(curves))
    settings = model.settings

    def negative(values_S: Array) -> tuple[float, Array]:
        value, gradient_S = likelihood.log_likelihood(settings.at(values_S))
        standard_S = (values_S - model.prior_means_S) / model.prior_deviations_S
        value -= 0.5 * float(standard_S @ standard_S)
        return -value, standard_S / model.prior_deviations_S - gradient_S

    return negative


def _longest(curves: Sequence[Curve]) -> list[Curve]:
    """The curves of the configurations with the longest ones."""
    by_length = sorted(curves, key=lambda curve: -len(curve.recalls))
    chosen = set(list(dict.fromkeys(curve.configuration for curve in by_length))[:_MOST_TO_FIT])
    return [curve for curve in curves if curve.configuration in chosen]
