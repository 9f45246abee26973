"""What the luck of one trial's seed adds to its curve: u + v·h(t), a drift and white noise."""

# T = epochs of a full run, B = parts of what a configuration adds to the shared curve

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.curve_basis import basis, times_apart
from histsearch.freeze_thaw.settings import Settings


class SeedNoise(NamedTuple):
    """What the luck of a trial does to its curve, for the settings at hand.

    Attributes:
        basis_TB: The basis of curves.
        precisions: For each t, the (t, t) inverse covariance of the first t epochs.
        log_determinants: For each t, that of their covariance.
    """

    basis_TB: Array
    precisions: Sequence[Array]
    log_determinants: Sequence[float]


def trial_covariance(settings: Settings, basis_TB: Array) -> Array:
    """(T, T) covariance of what one trial's seed adds to the epochs of its curve."""
    spread_2 = np.exp(2.0 * np.array([settings.seed, settings.early_seed]))
    noise_TT = np.exp(2.0 * settings.noise) * np.eye(len(basis_TB))
    noise_TT += np.exp(2.0 * settings.drift) * np.exp(-times_apart(len(basis_TB)))
    basis_T2 = basis_TB[:, :2]
    result: Array = (basis_T2 * spread_2) @ basis_T2.T + noise_TT
    return result


def seed_noise(settings: Settings, epochs: int, most: int) -> SeedNoise:
    """Precisions of up to ``most`` of a full run's epochs."""
    basis_TB = basis(epochs, settings.bend)
    covariance_TT = trial_covariance(settings, basis_TB)
    factor_TT = np.linalg.cholesky(covariance_TT[:most, :most])
    # The factor of the first epochs is the first part of the factor, and so is its inverse.
    inverse_TT = solve_triangular(factor_TT, np.eye(most), lower=True)
    logs_T = np.concatenate([[0.0], 2.0 * np.cumsum(np.log(np.diag(factor_TT)))])
    precisions = [inverse_TT[:t, :t].T @ inverse_TT[:t, :t] for t in range(most + 1)]
    log_determinants = logs_T.tolist()
    return SeedNoise(basis_TB, precisions, log_determinants)


class SeedEffects:
    """What depends on the settings and a trial's epochs alone, computed once."""

    def __init__(self, settings: Settings, epochs: int) -> None:
        self.settings = settings
        self.noise = seed_noise(settings, epochs, epochs)
        self._covariance_TT = trial_covariance(settings, self.noise.basis_TB)
        self._foreseen: dict[tuple[int, int], Array] = {}

    @property
    def scatter(self) -> float:
        """Standard deviation of one trial's last epoch about the mean over seeds, in points."""
        return float(np.sqrt(self._covariance_TT[-1, -1]))

    def foresee(self, before: int, after: int) -> Array:
        """(B, B) precision that a trial's epochs ``before`` + 1 to ``after`` bring."""
        if (before, after) not in self._foreseen:
            self._foreseen[before, after] = self._foresee(slice(0, before), slice(before, after))
        return self._foreseen[before, after]

    def _foresee(self, past: slice, future: slice) -> Array:
        basis_TB, covariance_TT = self.noise.basis_TB, self._covariance_TT
        # Given its past, the trial's luck in the future is expected, and known the better.
        weights_kt = np.linalg.solve(covariance_TT[past, past], covariance_TT[past, future]).T
        ahead_TB = basis_TB[future] - weights_kt @ basis_TB[past]
        noise_kk = covariance_TT[future, future] - weights_kt @ covariance_TT[past, future]
        precision_BB: Array = ahead_TB.T @ np.linalg.solve(noise_kk, ahead_TB)
        return precision_BB
