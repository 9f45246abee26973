"""The latent values as independent standard normal ones times factors, and these given data."""

# G = configurations, T = epochs of a full run, U = configurations with data,
# V = those of U that span all others, B = parts of what a configuration adds: f, d, b, c;
# W = white values of these: B of V; E = effects of all folds; Z = values that trials share: m of T,
# and E; L = latent values: B of U or V, and Z

from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpstrf

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.curve_basis import EFFECTS, PARTS, coupling_factor
from histsearch.freeze_thaw.curve_model import CurveModel, shared_factor
from histsearch.freeze_thaw.information import Information

_MOST_SPANNING = 160


def _span(kernel_UU: Array) -> tuple[Integers, Array]:
    """V configurations that span all others, and their kernel's lower factor.

    On a grid there are far fewer of them than configurations: a pivoted Cholesky factorisation
    ends when what is left of the kernel is below `JITTER`. Where there are ranges it may not end;
    the first `_MOST_SPANNING` then stand for all, and the others' data for what these explain.
    """
    if len(kernel_UU) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0))
    packed_UU, pivots_U, rank, _ = dpstrf(kernel_UU, lower=1, tol=JITTER)
    rank = min(rank, _MOST_SPANNING)
    return pivots_U[:rank].astype(np.int64) - 1, np.tril(packed_UU[:rank, :rank])


class GivenData(NamedTuple):
    """Posterior mean of the white values, those of Z the last, and a factor of their precision."""

    mean_L: Array
    factor_LL: Array


class WhiteValues(NamedTuple):
    """The latent values as white ones times factors.

    f, d, b and c of U are by factor_BB and spans_VU', and Z are by factor_ZZ. V of the tried
    configurations span all others. average_TZ is what the white values of Z do to the mean of
    the folds' curves.
    """

    pivots_V: Integers
    factor_VV: Array
    factor_BB: Array
    factor_ZZ: Array
    average_TZ: Array
    spans_VG: Array
    spans_VU: Array

    @classmethod
    def of(cls, model: CurveModel, tried: Integers, basis_TB: Array) -> Self:
        """For the model's present settings."""
        settings = model.settings
        pivots_V, factor_VV = _span(model.kernel.covariance(settings, tried, tried))
        every = np.arange(len(model.means_GB))
        kernel_VG = model.kernel.covariance(settings, tried[pivots_V], every)
        spans_VG = solve_triangular(factor_VV, kernel_VG, lower=True)
        factor_ZZ = shared_factor(settings, basis_TB, model.folds)
        return cls(
            pivots_V,
            factor_VV,
            coupling_factor(settings)[:, ::-1],
            factor_ZZ,
            _average(factor_ZZ, basis_TB, model.folds),
            spans_VG,
            spans_VG[:, tried],
        )

    def precision(self, own_BBU: Array) -> Array:
        """(W, W) of the white values, by prior and data."""
        own_BBU = np.einsum("ca,ceu,eb->abu", self.factor_BB, own_BBU, self.factor_BB)
        blocks = [[(self.spans_VU * own_U) @ self.spans_VU.T for own_U in row] for row in own_BBU]
        precision_WW: Array = np.block(blocks)
        precision_WW[np.diag_indices_from(precision_WW)] += 1.0
        return precision_WW

    def precision_of_own(self, data: Information) -> Array:
        """(W, W) of the white values, by prior and data, if what all trials share were known.

        That is m and the mean of the folds' effects, but not how these differ.
        """
        precision_WW = self.precision(data.own_BBU)
        epochs = len(self.average_TZ)
        if len(self.factor_ZZ) == epochs or len(precision_WW) == 0:
            return precision_WW
        folds = (len(self.factor_ZZ) - epochs) // EFFECTS
        less_mean_EE = np.kron(np.eye(folds) - 1.0 / folds, np.eye(EFFECTS))
        factor_EE = less_mean_EE @ self.factor_ZZ[epochs:, epochs:]
        between_BVE = self._between(data.shared_BUZ[:, :, epochs:]) @ factor_EE
        between_WE = between_BVE.reshape(len(precision_WW), -1)
        inner_EE = factor_EE.T @ data.shared_ZZ[epochs:, epochs:] @ factor_EE
        inner_EE[np.diag_indices_from(inner_EE)] += 1.0
        precision_WW -= between_WE @ np.linalg.solve(inner_EE, between_WE.T)
        return precision_WW

    def _between(self, shared_BUZ: Array) -> Array:
        """(B, V, Z) precision between the white values and shared ones."""
        between_BVZ: Array = self.spans_VU @ np.einsum("ab,aut->but", self.factor_BB, shared_BUZ)
        return between_BVZ

    def divided_by(self, factor_WW: Array) -> list[Array]:
        """Of f, d, ... the covariance with the white values, divided by a lower factor of W.

        As the white values of f come last and those of d before them, the first rows of the result
        are zeros for f, fewer for d, ...; they are left out.
        """
        lefts = []
        for part, factors_B in enumerate(self.factor_BB):
            first = PARTS - 1 - part
            white_WG = np.concatenate([one * self.spans_VG for one in factors_B[first:]])
            begin = first * len(self.pivots_V)
            lefts.append(solve_triangular(factor_WW[begin:, begin:], white_WG, lower=True))
        return lefts

    def given(self, data: Information) -> GivenData:
        """The white values by prior and data."""
        size, shared = PARTS * len(self.pivots_V), len(self.factor_ZZ)
        tried = self.spans_VU.shape[1]
        between_BVZ = self._between(data.shared_BUZ) @ self.factor_ZZ
        inner_LL = np.eye(size + shared)
        inner_LL[:size, :size] = self.precision(data.own_BBU)
        inner_LL[:size, size:] = between_BVZ.reshape(size, shared)
        inner_LL[size:, :size] = inner_LL[:size, size:].T
        inner_LL[size:, size:] += self.factor_ZZ.T @ data.shared_ZZ @ self.factor_ZZ
        shift_BU = data.shift_L[: PARTS * tried].reshape(PARTS, tried)
        shift_BV = self.factor_BB.T @ shift_BU @ self.spans_VU.T
        shift_Z = self.factor_ZZ.T @ data.shift_L[PARTS * tried :]
        shift_L = np.concatenate([shift_BV.ravel(), shift_Z])
        factor_LL, _ = cho_factor(inner_LL, lower=True)
        return GivenData(cho_solve((factor_LL, True), shift_L), factor_LL)

    def of_curve(self, row: int, basis_TB: Array) -> Array:
        """(T, L) what each white value does to a configuration's curve, the mean over folds."""
        parts_TB = basis_TB @ self.factor_BB
        added_TBV = parts_TB[:, :, None] * self.spans_VG[:, row]
        result: Array = np.hstack([added_TBV.reshape(len(basis_TB), -1), self.average_TZ])
        return result


def _average(factor_ZZ: Array, basis_TB: Array, folds: int) -> Array:
    """(T, Z) what the white values of Z do to the mean of the folds' curves."""
    if folds == 1:
        return factor_ZZ
    of_folds_TE = np.tile(basis_TB[:, :EFFECTS] / folds, folds)
    average_TZ: Array = np.hstack([np.eye(len(basis_TB)), of_folds_TE]) @ factor_ZZ
    return average_TZ
