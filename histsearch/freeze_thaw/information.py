"""The data's part of the inference: a precision matrix of the latent values, and its shift."""

# T = epochs of a full run, U = configurations with data, N = trials, t = epochs of each,
# B = parts of what a configuration adds to the shared curve; L = latent values: B of U, m of T

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.curve_basis import PARTS
from histsearch.freeze_thaw.seed_effects import SeedNoise
from histsearch.freeze_thaw.trials import Curve


class Information(NamedTuple):
    """The data, as they bear on the latent values: a precision matrix and its right-hand side.

    Trials of different configurations meet in the shared curve alone.
    """

    own_BBU: Array
    shared_BUT: Array
    curve_TT: Array
    shift_L: Array
    constant: float

    def precision(self) -> csr_array:
        """(L, L), the whole matrix."""
        tried, epochs = self.shared_BUT.shape[1:]
        size = PARTS * tried
        each_U = np.arange(tried)
        own_BUBU = np.zeros((PARTS, tried, PARTS, tried))
        own_BUBU[:, each_U, :, each_U] = self.own_BBU.transpose(2, 0, 1)
        shared_LT = self.shared_BUT.reshape(size, epochs)
        # One dense block is quicker to fill than many sparse ones are to join.
        return csr_array(
            np.block([[own_BUBU.reshape(size, size), shared_LT], [shared_LT.T, self.curve_TT]])
        )

    def times(self, weight_LL: Array) -> float:
        """Sum over all entries of the matrix, each times a symmetric weight."""
        tried, epochs = self.shared_BUT.shape[1:]
        size = PARTS * tried
        blocks = weight_LL[:size, :size].reshape(PARTS, tried, PARTS, tried)
        own = np.einsum("abi,aibi->", self.own_BBU, blocks)
        shared = (self.shared_BUT.reshape(size, epochs) * weight_LL[:size, size:]).sum()
        curve = (self.curve_TT * weight_LL[size:, size:]).sum()
        return float(own + 2.0 * shared + curve)


class SameLength(NamedTuple):
    """The trials that have run for the same number of epochs, and what was expected of each."""

    rows_N: Integers
    recalls_Nt: Array
    means_NB: Array

    def above_prior(self, seen_TB: Array) -> Array:
        """(N, t) the recalls less what was expected of them."""
        y_Nt: Array = self.recalls_Nt - self.means_NB @ seen_TB.T
        return y_Nt


def by_length(curves: Sequence[Curve], row_of: dict[int, int], means_GB: Array) -> list[SameLength]:
    """The curves with an epoch at least, by their length; ``row_of`` places configurations in U."""
    groups = []
    for length in sorted({len(curve.recalls) for curve in curves} - {0}):
        those = [curve for curve in curves if len(curve.recalls) == length]
        groups.append(
            SameLength(
                np.array([row_of[curve.configuration] for curve in those]),
                np.array([curve.recalls for curve in those]),
                means_GB[[curve.configuration for curve in those]],
            )
        )
    return groups


def inform(groups: Sequence[SameLength], tried: int, epochs: int, noise: SeedNoise) -> Information:
    """The information of some curves on U = ``tried`` configurations and T = ``epochs``."""
    own_BBU = np.zeros((PARTS, PARTS, tried))
    shared_BUT = np.zeros((PARTS, tried, epochs))
    curve_TT = np.zeros((epochs, epochs))
    shift_BU, shift_T = np.zeros((PARTS, tried)), np.zeros(epochs)
    constant = 0.0
    for group in groups:
        rows_N, t = group.rows_N, group.recalls_Nt.shape[1]
        precision_tt, seen_TB = noise.precisions[t], noise.basis_TB[:t]
        y_Nt = group.above_prior(seen_TB)
        weighed_TB = precision_tt @ seen_TB
        count_U = np.bincount(rows_N, minlength=tried)
        own_BBU += (seen_TB.T @ weighed_TB)[:, :, None] * count_U
        shared_BUT[:, :, :t] += weighed_TB.T[:, None, :] * count_U[:, None]
        curve_TT[:t, :t] += len(rows_N) * precision_tt
        solved_Nt = y_Nt @ precision_tt
        for which in range(PARTS):
            shift_BU[which] += np.bincount(rows_N, y_Nt @ weighed_TB[:, which], minlength=tried)
        shift_T[:t] += solved_Nt.sum(axis=0)
        constant -= 0.5 * float((y_Nt * solved_Nt).sum() + len(rows_N) * noise.log_determinants[t])
    shift_L = np.concatenate([shift_BU.ravel(), shift_T])
    return Information(own_BBU, shared_BUT, curve_TT, shift_L, constant)
