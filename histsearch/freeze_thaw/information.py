"""The data's part of the inference: a precision matrix of the latent values, and its shift."""

# T = epochs of a full run, U = configurations with data, N = trials, t = epochs of each,
# B = parts of what a configuration adds to the shared curve; E = effects of a fold;
# Z = values that trials share: m of T, E of each fold; L = latent values: B of U, Z

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.curve_basis import EFFECTS, PARTS
from histsearch.freeze_thaw.seed_effects import SeedNoise
from histsearch.freeze_thaw.trials import Curve


class Foreseen(NamedTuple):
    """Epochs to come of a trial.

    Attributes:
        row: Of its configuration in U.
        fold: The fold it validates on.
        precision_BB: What they bring on its configuration's parts.
    """

    row: int
    fold: int
    precision_BB: Array


class Information(NamedTuple):
    """The data, as they bear on the latent values: a precision matrix and its right-hand side.

    Trials of different configurations meet in the shared curve and their folds alone.
    """

    own_BBU: Array
    shared_BUZ: Array
    shared_ZZ: Array
    shift_L: Array
    constant: float

    def with_foreseen(self, foreseen: Sequence[Foreseen], epochs: int) -> Self:
        """The same with epochs to come, whose R@1 isn't known yet.

        Their part on the shared curve is left out.

        Args:
            foreseen: The epochs.
            epochs: T.
        """
        own_BBU, shared_BUZ, shared_ZZ = (
            one.copy() for one in (self.own_BBU, self.shared_BUZ, self.shared_ZZ)
        )
        for row, fold, precision_BB in foreseen:
            own_BBU[:, :, row] += precision_BB
            if len(shared_ZZ) > epochs:
                effects = _effects_of(fold, epochs)
                shared_BUZ[:, row, effects] += precision_BB[:, :EFFECTS]
                shared_ZZ[effects, effects] += precision_BB[:EFFECTS, :EFFECTS]
        return self._replace(own_BBU=own_BBU, shared_BUZ=shared_BUZ, shared_ZZ=shared_ZZ)

    def precision(self) -> csr_array:
        """(L, L), the whole matrix."""
        tried, shared = self.shared_BUZ.shape[1:]
        size = PARTS * tried
        each_U = np.arange(tried)
        own_BUBU = np.zeros((PARTS, tried, PARTS, tried))
        own_BUBU[:, each_U, :, each_U] = self.own_BBU.transpose(2, 0, 1)
        shared_LZ = self.shared_BUZ.reshape(size, shared)
        # One dense block is quicker to fill than many sparse ones are to join.
        return csr_array(
            np.block([[own_BUBU.reshape(size, size), shared_LZ], [shared_LZ.T, self.shared_ZZ]])
        )

    def times(self, weight_LL: Array) -> float:
        """Sum over all entries of the matrix, each times a symmetric weight."""
        tried, width = self.shared_BUZ.shape[1:]
        size = PARTS * tried
        blocks = weight_LL[:size, :size].reshape(PARTS, tried, PARTS, tried)
        own = np.einsum("abi,aibi->", self.own_BBU, blocks)
        between = (self.shared_BUZ.reshape(size, width) * weight_LL[:size, size:]).sum()
        shared = (self.shared_ZZ * weight_LL[size:, size:]).sum()
        return float(own + 2.0 * between + shared)


class SameLength(NamedTuple):
    """The trials that have run for the same number of epochs, and what was expected of each."""

    rows_N: Integers
    folds_N: Integers
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
                np.array([curve.fold for curve in those]),
                np.array([curve.recalls for curve in those]),
                means_GB[[curve.configuration for curve in those]],
            )
        )
    return groups


def inform(
    groups: Sequence[SameLength], tried: int, epochs: int, noise: SeedNoise, folds: int
) -> Information:
    """The information of some curves on U = ``tried`` configurations and T = ``epochs``."""
    several = range(folds if folds > 1 else 0)
    shared = epochs + EFFECTS * len(several)
    own_BBU = np.zeros((PARTS, PARTS, tried))
    shared_BUZ = np.zeros((PARTS, tried, shared))
    shared_ZZ = np.zeros((shared, shared))
    shift_BU, shift_Z = np.zeros((PARTS, tried)), np.zeros(shared)
    constant = 0.0
    for group in groups:
        rows_N, t = group.rows_N, group.recalls_Nt.shape[1]
        precision_tt, seen_TB = noise.precisions[t], noise.basis_TB[:t]
        y_Nt = group.above_prior(seen_TB)
        weighed_TB = precision_tt @ seen_TB
        count_U = np.bincount(rows_N, minlength=tried)
        precision_BB = seen_TB.T @ weighed_TB
        own_BBU += precision_BB[:, :, None] * count_U
        shared_BUZ[:, :, :t] += weighed_TB.T[:, None, :] * count_U[:, None]
        shared_ZZ[:t, :t] += len(rows_N) * precision_tt
        solved_Nt = y_Nt @ precision_tt
        for which in range(PARTS):
            shift_BU[which] += np.bincount(rows_N, y_Nt @ weighed_TB[:, which], minlength=tried)
        shift_Z[:t] += solved_Nt.sum(axis=0)
        for fold in several:
            effects, of_fold_N = _effects_of(fold, epochs), group.folds_N == fold
            count_U = np.bincount(rows_N[of_fold_N], minlength=tried)
            weighed_TE = weighed_TB[:, :EFFECTS]
            shared_BUZ[:, :, effects] += precision_BB[:, None, :EFFECTS] * count_U[:, None]
            shared_ZZ[:t, effects] += of_fold_N.sum() * weighed_TE
            shared_ZZ[effects, :t] += of_fold_N.sum() * weighed_TE.T
            shared_ZZ[effects, effects] += of_fold_N.sum() * precision_BB[:EFFECTS, :EFFECTS]
            shift_Z[effects] += (y_Nt[of_fold_N] @ weighed_TE).sum(axis=0)
        constant -= 0.5 * float((y_Nt * solved_Nt).sum() + len(rows_N) * noise.log_determinants[t])
    shift_L = np.concatenate([shift_BU.ravel(), shift_Z])
    return Information(own_BBU, shared_BUZ, shared_ZZ, shift_L, constant)


def _effects_of(fold: int, epochs: int) -> slice:
    """Where a fold's effects are among Z."""
    begin = epochs + EFFECTS * fold
    return slice(begin, begin + EFFECTS)
