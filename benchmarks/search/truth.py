"""What the configurations of a table are really worth."""

# G = configurations, T = epochs, N = configurations that were trained, D = parameters, X = draws

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

Array = npt.NDArray[np.float64]

_JITTER = 1e-6  # square points, for the Cholesky factor
_MOST = 1500  # configurations that the model is fitted to


class Truth(NamedTuple):
    """The curves that a table's configurations have without the luck of a seed.

    Attributes:
        curves_GT: In percent.
        left_GG: Covariance of the last epoch's values that the runs leave, in square points.
    """

    curves_GT: Array
    left_GG: Array

    @classmethod
    def smoothed(cls, means_NT: Array, rows_N: npt.NDArray[np.int64], places_GD: Array) -> "Truth":
        """By a Gaussian process over a whole grid of ordered values.

        Matérn-5/2 on the index of each value, with a length scale a parameter and a noise of its
        own, all of them fitted by marginal likelihood to the last epoch's means over seeds.

        Args:
            means_NT: Mean curves of the configurations that were trained, in percent.
            rows_N: Which of the grid these are.
            places_GD: Index of each value among its parameter's, scaled to [0, 1].
        """
        if len(rows_N) > _MOST:
            chosen = np.random.default_rng(0).choice(len(rows_N), _MOST, replace=False)
            means_NT, rows_N = means_NT[chosen], rows_N[chosen]
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(
            np.ones(places_GD.shape[1]), (0.1, 1e2), nu=2.5
        ) + WhiteKernel(0.3, (1e-4, 1e1))
        model = GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0
        )
        model.fit(places_GD[rows_N], means_NT[:, -1])
        fitted = model.kernel_
        shared_GN, kernel_NN = fitted.k1(places_GD, places_GD[rows_N]), fitted(places_GD[rows_N])
        centre_T = means_NT.mean(axis=0)
        curves_GT = centre_T + shared_GN @ np.linalg.solve(kernel_NN, means_NT - centre_T)
        left_GG = fitted.k1(places_GD) - shared_GN @ np.linalg.solve(kernel_NN, shared_GN.T)
        return cls(curves_GT, left_GG * float(np.var(means_NT[:, -1])))

    @classmethod
    def of_means(cls, means_GT: Array, variances_G: Array) -> "Truth":
        """By the mean over seeds alone, whose variances are the given ones."""
        return cls(means_GT, np.diag(variances_G))

    @property
    def best_deviation(self) -> float:
        """Standard deviation of the best last value, in points."""
        best = int(self.curves_GT[:, -1].argmax())
        return math.sqrt(max(float(self.left_GG[best, best]), 0.0))

    def draw(self, draws: int, rng: np.random.Generator) -> Array:
        """(G, X) Last values as they may be as well."""
        left_GG = self.left_GG.copy()
        left_GG[np.diag_indices_from(left_GG)] += _JITTER
        factor_GG = np.linalg.cholesky(left_GG)
        last_G = self.curves_GT[:, -1]
        drawn_GX: Array = last_G[:, None] + factor_GG @ rng.normal(size=(len(last_G), draws))
        return drawn_GX
