"""The marginal likelihood of the model's settings, and its gradient."""

# D = parameters, T = epochs of a full run, U = configurations with data,
# B = parts of what a configuration adds: f, d, b, c; E = effects of a fold, F = folds;
# L = latent values: B of U, m of T, E of F;
# S = hyperparameters of the model; K = earlier studies

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.curve_basis import (
    EFFECTS,
    PARTS,
    basis,
    coupling,
    coupling_factor,
)
from histsearch.freeze_thaw.curve_model import CurveModel, prior_factor
from histsearch.freeze_thaw.information import Information, by_length, inform
from histsearch.freeze_thaw.seed_effects import seed_noise
from histsearch.freeze_thaw.settings import NAMES, Settings
from histsearch.freeze_thaw.shared_curve import shared_curve_covariance
from histsearch.freeze_thaw.trials import Curve


class _Kernels(NamedTuple):
    """Covariances of f between the configurations that were tried, and their sum."""

    main_DUU: Array
    pairs_UU: Array
    earlier_KUU: Array
    all_UU: Array


class MarginalLikelihood:
    """The marginal likelihood of the settings for one set of data."""

    def __init__(self, model: CurveModel, curves: Sequence[Curve]) -> None:
        self.model = model
        self.tried = np.array(
            sorted({curve.configuration for curve in curves if curve.recalls}), dtype=np.int64
        )
        row_of = {int(configuration): row for row, configuration in enumerate(self.tried)}
        self.groups = by_length(curves, row_of, model.means_GB)
        self.most = max((group.recalls_Nt.shape[1] for group in self.groups), default=0)

    def information(self, settings: Settings) -> Information:
        """What the data say of the latent values."""
        noise = seed_noise(settings, self.model.epochs, self.most)
        return inform(self.groups, len(self.tried), self.model.epochs, noise, self.model.folds)

    def log_likelihood(self, settings: Settings) -> tuple[float, Array]:
        """The logarithm of the marginal likelihood, and its gradient (S,)."""
        model = self.model
        kernels = self._kernels(settings)
        basis_TB = basis(model.epochs, settings.bend)
        factor_LL = prior_factor(kernels.all_UU, settings, basis_TB, model.folds)
        data = self.information(settings)
        precision_LL = data.precision()
        inner_LL = factor_LL.T @ (precision_LL @ factor_LL)
        inner_LL[np.diag_indices_from(inner_LL)] += 1.0
        inner_factor_LL = np.linalg.cholesky(inner_LL)
        half_LL = solve_triangular(inner_factor_LL, factor_LL.T, lower=True)
        remaining_LL = half_LL.T @ half_LL
        mean_L = remaining_LL @ data.shift_L
        value = (
            data.constant
            + 0.5 * float(data.shift_L @ mean_L)
            - float(np.log(np.diag(inner_factor_LL)).sum())
        )
        # d value / d covariance = ½(αα' − M), with α = P⁻¹ mean and M = (P + A⁻¹)⁻¹.
        alpha_L = data.shift_L - precision_LL @ mean_L
        middle_LL = precision_LL.toarray() - (precision_LL @ remaining_LL) @ precision_LL
        slope_LL = 0.5 * (np.outer(alpha_L, alpha_L) - middle_LL)
        over_each_S, shared = self._over_configurations(settings, kernels, slope_LL)
        # What the data's side depends on, by differences: no further factorisation is needed.
        weight_LL: Array = np.outer(mean_L, mean_L) + remaining_LL
        for name in ("seed", "early_seed", "drift", "noise", "bend"):
            shared[name] = self._over_data(settings, name, data, mean_L, weight_LL)
        shared["bend"] += self._over_shared_curve(settings, basis_TB, slope_LL)
        over_folds_E = self._over_folds(settings, slope_LL)
        return value, np.concatenate([over_folds_E, over_each_S, [shared[name] for name in NAMES]])

    def _kernels(self, settings: Settings) -> _Kernels:
        main_DUU, pairs_UU = self.model.kernel.parts(settings, self.tried, self.tried)
        earlier_KUU = self.model.kernel.earlier_parts(settings, self.tried, self.tried)
        all_UU: Array = main_DUU.sum(axis=0) + pairs_UU + earlier_KUU.sum(axis=0)
        return _Kernels(main_DUU, pairs_UU, earlier_KUU, all_UU)

    def _over_configurations(
        self, settings: Settings, kernels: _Kernels, slope_LL: Array
    ) -> tuple[Array, dict[str, float]]:
        """The gradient over what the configurations' covariance depends on.

        Returns:
            That over the earlier studies' weights and the parameters' effects, and those over
            the shared settings by name.
        """
        tried = len(self.tried)
        size = PARTS * tried
        own_BBUU = slope_LL[:size, :size].reshape(PARTS, tried, PARTS, tried).transpose(0, 2, 1, 3)
        over_kernel_UU = np.einsum("ab,abij->ij", coupling(settings), own_BBUU)
        over_coupling_BB = np.einsum("abij,ij->ab", own_BBUU, kernels.all_UU)
        over_earlier_K = 2.0 * np.einsum("kij,ij->k", kernels.earlier_KUU, over_kernel_UU)
        scaled_DUU = kernels.main_DUU * np.exp(-settings.main_D)[:, None, None]
        others_DUU = np.exp(settings.interaction) * (scaled_DUU.sum(axis=0) - scaled_DUU)
        over_main_D = np.einsum(
            "dij,ij->d", 2.0 * kernels.main_DUU + scaled_DUU * others_DUU, over_kernel_UU
        )
        over_factor_BB = 2.0 * over_coupling_BB @ coupling_factor(settings)
        over_bows = over_factor_BB[2, 2] + 0.5 * over_factor_BB[3, 3]
        return np.append(over_earlier_K, over_main_D), {
            "interaction": float((kernels.pairs_UU * over_kernel_UU).sum()),
            "early_slope": float(over_factor_BB[1, 0]),
            "early_spread": float(over_factor_BB[1, 1] * np.exp(settings.early_spread)),
            "bow": float(over_bows * np.exp(settings.bow)),
            "length": self._over_length(settings, kernels.all_UU, over_kernel_UU),
        }

    def _over_shared_curve(self, settings: Settings, basis_TB: Array, slope_LL: Array) -> float:
        step, begin = 1e-5, PARTS * len(self.tried)
        end = begin + self.model.epochs
        bent_TB = basis(self.model.epochs, settings.bend + step)
        before_TT, after_TT = (shared_curve_covariance(one) for one in (basis_TB, bent_TB))
        slope_TT = slope_LL[begin:end, begin:end]
        return float((slope_TT * (after_TT - before_TT)).sum()) / step

    def _over_folds(self, settings: Settings, slope_LL: Array) -> Array:
        begin = PARTS * len(self.tried) + self.model.epochs
        slopes_FE = np.diag(slope_LL)[begin:].reshape(-1, EFFECTS)
        slopes_E: Array = 2.0 * settings.folds_E**2 * slopes_FE.sum(axis=0)[: len(settings.folds_E)]
        return slopes_E

    def _over_length(self, settings: Settings, kernel_UU: Array, slope_UU: Array) -> float:
        step = 1e-5
        longer = settings.moved("length", step)
        longer_UU = self.model.kernel.covariance(longer, self.tried, self.tried)
        return float(((longer_UU - kernel_UU) * slope_UU).sum()) / step

    def _over_data(
        self,
        settings: Settings,
        name: str,
        data: Information,
        mean_L: Array,
        weight_LL: Array,
    ) -> float:
        step = 1e-5
        moved = self.information(settings.moved(name, step))
        change = (
            moved.constant
            - data.constant
            + float(mean_L @ (moved.shift_L - data.shift_L))
            - 0.5 * (moved.times(weight_LL) - data.times(weight_LL))
        )
        return change / step
