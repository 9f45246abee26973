"""The kernel over configurations: main effects, interactions, and what earlier studies expect."""

# G = configurations, D = parameters, P = places in one parameter, K = earlier studies,
# X, Y = some configurations, F = features

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.matern import matern
from histsearch.freeze_thaw.settings import Settings


class Kernel:
    """Covariances of f, additive in the parameters and in their pairs.

    Args:
        places_GD: Where each configuration stands in each parameter: a row of its distances.
        distances_D: Of each parameter, the (P, P) distances between its P places, in [0, 1].
        earlier_f_KG: What each earlier study expects of each configuration's f.
    """

    def __init__(
        self, places_GD: Integers, distances_D: Sequence[Array], earlier_f_KG: Array
    ) -> None:
        self.places_GD = places_GD
        self.distances_D = distances_D
        self.earlier_f_KG = earlier_f_KG
        self._features: dict[float, Array] = {}

    def parts(self, settings: Settings, rows: Integers, columns: Integers) -> tuple[Array, Array]:
        """Main effects (D, X, Y) and interactions (X, Y) of the kernel between configurations.

        Two parameters interact the more, the larger the effects of both are.
        """
        each_DXY = np.array(
            [
                matern(distances / np.exp(settings.length))[
                    self.places_GD[rows, which][:, None], self.places_GD[columns, which]
                ]
                for which, distances in enumerate(self.distances_D)
            ]
        )
        scaled_DXY = np.exp(settings.main_D)[:, None, None] * each_DXY
        main_DXY = np.exp(settings.main_D)[:, None, None] * scaled_DXY
        pairs_XY = scaled_DXY.sum(axis=0) ** 2 - (scaled_DXY**2).sum(axis=0)
        return main_DXY, 0.5 * np.exp(settings.interaction) * pairs_XY

    def covariance(self, settings: Settings, rows: Integers, columns: Integers) -> Array:
        """Covariance of f between configurations."""
        # The sum of `parts`, with as little as possible done for each pair of configurations.
        half = 0.5 * np.exp(settings.interaction)
        alone_XY, together_XY = np.zeros((2, len(rows), len(columns)))
        for which, distances in enumerate(self.distances_D):
            size = np.exp(settings.main_D[which])
            scaled_PP = size * matern(distances / np.exp(settings.length))
            of_rows, of_columns = self.places_GD[rows, which], self.places_GD[columns, which]
            together_XY += scaled_PP[of_rows][:, of_columns]
            alone_XY += (size * scaled_PP - half * scaled_PP**2)[of_rows][:, of_columns]
        result: Array = alone_XY + half * together_XY**2
        if settings.earlier:
            result += self.earlier_parts(settings, rows, columns).sum(axis=0)
        return result

    def features(self, length: float) -> Array:
        """(G, F) of a kernel of main effects of equal size, whose product is the kernel."""
        if length not in self._features:
            factors = [
                np.linalg.cholesky(matern(distances / length) + JITTER * np.eye(len(distances)))
                for distances in self.distances_D
            ]
            self._features[length] = np.hstack(
                [factor_PP[self.places_GD[:, which]] for which, factor_PP in enumerate(factors)]
            )
        return self._features[length]

    def earlier_parts(self, settings: Settings, rows: Integers, columns: Integers) -> Array:
        """(K, X, Y) the part of the kernel that is linear in what each earlier study expects."""
        scaled_KG = settings.weights_K[:, None] * self.earlier_f_KG
        result: Array = scaled_KG[:, rows][:, :, None] * scaled_KG[:, None, columns]
        return result

    def variance(self, settings: Settings) -> Array:
        """(G,) variance of f before any data."""
        main_D = np.exp(settings.main_D)
        pairs = 0.5 * np.exp(settings.interaction) * (main_D.sum() ** 2 - (main_D**2).sum())
        earlier_KG = settings.weights_K[:, None] * self.earlier_f_KG
        result: Array = (main_D**2).sum() + pairs + (earlier_KG**2).sum(axis=0)
        return result
