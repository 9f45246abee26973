"""A Gaussian-process model of all learning curves of a study at once.

R@1 of trial i of configuration x after epoch t, in percent:

    y_i(t) = m(t) + f(x) + d(x)·h(t) + b(x)·sin(πh(t)) + c(x)·sin(2πh(t)) + p_k(t) + g_i(t) + e_i(t)

m is a curve that all trials share, f what a configuration adds to it at the last epoch, and d how
much more it adds at the first one; h falls from 1 at the first epoch to 0 at the last. b and c are
how its curve strays from that on the way: the first two terms of a Brownian bridge. p is what the
classes of the trial's fold k add for all configurations, q_k + r_k·h(t), and 0 where there is one
fold. g is what the luck of one trial's seed adds, u_i + v_i·h(t) and a drift, whose correlation
falls with the logarithm of the ratio of two epochs, and e is white noise. So the first epochs of a
trial already say something of where it would end, and of what its neighbours would, by as much as
the data show; but no more than that, as some curves rise late.

What a fold does to one configuration alone counts as luck too: replicates are of other folds.

f, d, b and c vary over the configurations by an additive kernel: a Matérn-5/2 for each
parameter, and for each pair the product of both. What an earlier study expects of them is in
part their mean before any data, and in part a linear component whose size the data decide: it helps
as long as it is right, and is written off when it isn't.

With freeze-thaw (Swersky et al., 2014) and DyHPO (Wistuba et al., NeurIPS 2022) this has the view
that unfinished curves are data; seeds as random effects, and inference in the space of
configurations instead of observations, are what makes it cheap here.
"""

# G = configurations, D = hyperparameters, T = epochs of a full run, U = configurations with data,
# B = parts of what a configuration adds: f, d, b, c; E = effects of a fold: q, r;
# Z = values that trials share: m of T, E of each fold; L = latent values: B of U, Z;
# S = hyperparameters of the model; K = earlier studies

from collections.abc import Sequence

import numpy as np
from scipy.linalg import block_diag

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.curve_basis import PARTS, coupling_factor
from histsearch.freeze_thaw.kernel import Kernel
from histsearch.freeze_thaw.seed_effects import SeedEffects
from histsearch.freeze_thaw.settings import Settings, prior
from histsearch.freeze_thaw.shared_curve import shared_curve_covariance

_TRUST = 0.5  # how much of what earlier studies expect is believed before any data


class CurveModel:
    """The prior of all curves, with settings that `fit_settings` moves.

    Args:
        places_GD: Where each configuration stands in each parameter: a row of its distances.
        distances_D: Of each parameter, the (P, P) distances between its P places, in [0, 1].
        epochs: T, epochs of a full run.
        earlier_KGB: What each earlier study expects of each configuration's f, d, b and c.
        folds: Folds that trials validate on.

    Attributes:
        kernel: Over configurations.
        epochs: T.
        folds: Folds that trials validate on.
        prior_means_S: Of the settings.
        prior_deviations_S: Of the settings.
        settings: The model's hyperparameters; their prior's means before the first fit.
        means_GB: f, d, b and c that are expected before any data.
    """

    def __init__(
        self,
        places_GD: Integers,
        distances_D: Sequence[Array],
        epochs: int,
        earlier_KGB: Array | None = None,
        folds: int = 1,
    ) -> None:
        self.epochs = epochs
        self.folds = folds
        if earlier_KGB is None:
            earlier_KGB = np.zeros((0, len(places_GD), PARTS))
        earlier = len(earlier_KGB)
        self.kernel = Kernel(places_GD, distances_D, earlier_KGB[:, :, 0])
        self.means_GB: Array = _TRUST * earlier_KGB.sum(axis=0) / max(1, earlier)
        self.prior_means_S, self.prior_deviations_S = prior(
            len(distances_D), earlier, has_folds=folds > 1
        )
        self.settings = Settings(self.prior_means_S, earlier, folds > 1)
        self._seed_effects: SeedEffects | None = None

    def seed_effects(self) -> SeedEffects:
        """What a trial's seed does, by the present settings."""
        if self._seed_effects is None or self._seed_effects.settings is not self.settings:
            self._seed_effects = SeedEffects(self.settings, self.epochs)
        return self._seed_effects


def prior_factor(kernel_UU: Array, settings: Settings, basis_TB: Array, folds: int) -> Array:
    """(L, L) lower factor of the covariance of the latent values before any data."""
    factor_UU = np.linalg.cholesky(kernel_UU + JITTER * np.eye(len(kernel_UU)))
    factor_ZZ = shared_factor(settings, basis_TB, folds)
    result: Array = block_diag(np.kron(coupling_factor(settings), factor_UU), factor_ZZ)
    return result


def shared_factor(settings: Settings, basis_TB: Array, folds: int) -> Array:
    """(Z, Z) lower factor of the covariance of what trials share: m, and the folds' effects."""
    factor_TT = np.linalg.cholesky(
        shared_curve_covariance(basis_TB) + JITTER * np.eye(len(basis_TB))
    )
    if folds == 1:
        return factor_TT
    factor_ZZ: Array = block_diag(factor_TT, np.diag(np.tile(settings.folds_E, folds)))
    return factor_ZZ
