"""The latent values as independent standard normal ones times factors, and these given data."""

# G = configurations, T = epochs of a full run, U = configurations with data,
# V = those of U that span all others, B = parts of what a configuration adds: f, d, b, c;
# W = white values of these: B of V; L = latent values: B of U or V, m of T

from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpstrf

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.curve_basis import PARTS, coupling_factor
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.information import Information
from histsearch.freeze_thaw.shared_curve import shared_curve_covariance

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
    """Posterior mean of the white values, those of m the last, and a factor of their precision."""

    mean_L: Array
    factor_LL: Array


class WhiteValues(NamedTuple):
    """The latent values as white ones times factors.

    f, d, b and c of U are by factor_BB and spans_VU', and m is by factor_TT. V of the tried
    configurations span all others.
    """

    pivots_V: Integers
    factor_VV: Array
    factor_BB: Array
    factor_TT: Array
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
        curve_TT = shared_curve_covariance(basis_TB) + JITTER * np.eye(model.epochs)
        return cls(
            pivots_V,
            factor_VV,
            coupling_factor(settings)[:, ::-1],
            np.linalg.cholesky(curve_TT),
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
        size, epochs = PARTS * len(self.pivots_V), len(self.factor_TT)
        tried = self.spans_VU.shape[1]
        shared_BUT = np.einsum("ab,aut->but", self.factor_BB, data.shared_BUT)
        shared_BVT = self.spans_VU @ shared_BUT @ self.factor_TT
        inner_LL = np.eye(size + epochs)
        inner_LL[:size, :size] = self.precision(data.own_BBU)
        inner_LL[:size, size:] = shared_BVT.reshape(size, epochs)
        inner_LL[size:, :size] = inner_LL[:size, size:].T
        inner_LL[size:, size:] += self.factor_TT.T @ data.curve_TT @ self.factor_TT
        shift_BU = data.shift_L[: PARTS * tried].reshape(PARTS, tried)
        shift_BV = self.factor_BB.T @ shift_BU @ self.spans_VU.T
        shift_T = self.factor_TT.T @ data.shift_L[PARTS * tried :]
        shift_L = np.concatenate([shift_BV.ravel(), shift_T])
        factor_LL, _ = cho_factor(inner_LL, lower=True)
        return GivenData(cho_solve((factor_LL, True), shift_L), factor_LL)

    def of_curve(self, row: int, basis_TB: Array) -> Array:
        """(T, L) what each white value does to a configuration's curve."""
        parts_TB = basis_TB @ self.factor_BB
        added_TBV = parts_TB[:, :, None] * self.spans_VG[:, row]
        result: Array = np.hstack([added_TBV.reshape(len(basis_TB), -1), self.factor_TT])
        return result
