"""A model of 3 × 4 × 2 configurations, and the covariances of all observations at once."""

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw.curve_basis import PARTS, basis, coupling
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.seed_effects import trial_covariance
from histsearch.freeze_thaw.settings import Settings, prior
from histsearch.freeze_thaw.shared_curve import shared_curve_covariance
from histsearch.freeze_thaw.trials import Curve

EPOCHS = 5
SIZES = (3, 4, 2)
PLACES = np.array([[i, j, k] for i in range(3) for j in range(4) for k in range(2)])
DISTANCES = [np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (n - 1) for n in SIZES]


def model(earlier: int = 0, folds: int = 1) -> CurveModel:
    """A model with what so many earlier studies expect, of trials of so many folds."""
    expected = np.random.default_rng(earlier).normal(scale=4.0, size=(earlier, len(PLACES), PARTS))
    return CurveModel(PLACES, DISTANCES, EPOCHS, expected, folds)


def some_settings(seed: int, earlier: int = 0, folds: int = 1) -> Settings:
    means, _ = prior(len(SIZES), earlier, has_folds=folds > 1)
    values = means + 0.3 * np.random.default_rng(seed).normal(size=len(means))
    return Settings(values, earlier, folds > 1)


def above_prior(one: CurveModel, settings: Settings, curves: Sequence[Curve]) -> np.ndarray:
    """All observations, less what was expected of them."""
    basis_TB = basis(EPOCHS, settings.bend)
    return np.concatenate(
        [
            curve.recalls - basis_TB[: len(curve.recalls)] @ one.means_GB[curve.configuration]
            for curve in curves
        ]
    )


def some_curves(seed: int, count: int = 12, folds: int = 1) -> list[Curve]:
    rng = np.random.default_rng(seed)
    return [
        Curve(
            int(rng.integers(len(PLACES))),
            tuple(60 + 5 * rng.normal(size=int(rng.integers(1, EPOCHS + 1)))),
            number % folds,
        )
        for number in range(count)
    ]


def whole_prior(
    one: CurveModel, settings: Settings, curves: Sequence[Curve]
) -> tuple[np.ndarray, np.ndarray]:
    """The covariance of all observations, and of each configuration's last R@1 with them.

    That is its mean over folds.
    """
    basis_TB = basis(EPOCHS, settings.bend)
    every = np.arange(len(PLACES))
    kernel = one.kernel.covariance(settings, every, every)
    coupling_BB = coupling(settings)
    luck = trial_covariance(settings, basis_TB)
    shared = shared_curve_covariance(basis_TB)
    of_fold = fold_covariance(one, settings)
    points = [(i, c.configuration, t) for i, c in enumerate(curves) for t in range(len(c.recalls))]
    covariance = np.array(
        [
            [
                basis_TB[t] @ coupling_BB @ basis_TB[s] * kernel[a, b]
                + shared[t, s]
                + (of_fold[t, s] if curves[i].fold == curves[j].fold else 0.0)
                + (luck[t, s] if i == j else 0.0)
                for j, b, s in points
            ]
            for i, a, t in points
        ]
    )
    to_last = np.array(
        [
            [
                coupling_BB[0] @ basis_TB[s] * kernel[g, b]
                + shared[-1, s]
                + of_fold[-1, s] / one.folds
                for _, b, s in points
            ]
            for g in every
        ]
    )
    return covariance, to_last


def fold_covariance(one: CurveModel, settings: Settings) -> np.ndarray:
    """The covariance of what one fold adds to the epochs of a curve."""
    if one.folds == 1:
        return np.zeros((EPOCHS, EPOCHS))
    scaled = basis(EPOCHS, settings.bend)[:, :2] * settings.folds_E
    return scaled @ scaled.T
