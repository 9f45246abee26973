"""How much each searched parameter matters: its share of the variance of f over the space.

By functional ANOVA (Hooker, 2007; of hyperparameters: Hutter et al., ICML 2014): over a space whose
values are all equally likely, f is a constant, a main effect of each parameter and an effect of
each pair, which don't overlap, so their variances add up. The kernel has no effects of three
parameters, so there are no others. Each part of the kernel is a product of features, so that a draw
of f is a vector of weights, and its shares follow without a look at any configuration.

Draws of the posterior are draws of the prior, corrected by what the data say of the configurations
that span all others (Matheron's rule; Wilson et al., ICML 2020).
"""

# D = parameters, P = places in one parameter, F = features of one parameter,
# G = configurations, V = those that span all others, N = some places, X = draws,
# W = weights: of the features of each parameter, and of their products for each pair;
# C = effects: of each parameter, then of each pair; K = earlier studies

from itertools import combinations
from typing import NamedTuple

import numpy as np

from histsearch.freeze_thaw.arrays import JITTER, Array, Integers
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.matern import matern
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.threads import one_thread

_KEPT = 0.9999  # of a parameter's prior variance, by its features
_DRAWS = 256
_INTERVAL = (2.5, 97.5)  # percent


class VarianceShare(NamedTuple):
    """What part of the variance of f over the space an effect has.

    Attributes:
        parameters: Index of the parameter, or of the two of a pair.
        share: Mean over the posterior, in [0, 1].
        low: Lower end of the 95% interval.
        high: Upper end.
    """

    parameters: tuple[int, ...]
    share: float
    low: float
    high: float


def variance_shares(
    model: CurveModel, posterior: Posterior, rng: np.random.Generator
) -> list[VarianceShare]:
    """The share of each parameter, then that of each pair; their sum is 1.

    The model's settings count as known.

    Args:
        model: With its settings.
        posterior: By that model.
        rng: Source of the draws.
    """
    with one_thread():
        effects = Effects(model)
        variance_CX = effects.variances(effects.draw(posterior, _DRAWS, rng))
    share_CX = variance_CX / np.maximum(variance_CX.sum(axis=0), JITTER)
    low_C, high_C = np.percentile(share_CX, _INTERVAL, axis=1)
    columns = (share_CX.mean(axis=1).tolist(), low_C.tolist(), high_C.tolist())
    return [VarianceShare(*one) for one in zip(effects.parameters, *columns, strict=True)]


class Effects:
    """f as main effects and effects of pairs, each a sum of features times weights.

    Args:
        model: With its settings.

    Attributes:
        parameters: Of each effect the parameters, by their indices.
    """

    def __init__(self, model: CurveModel) -> None:
        self._model = model
        settings = model.settings
        self._size_D = np.exp(settings.main_D)
        length = float(np.exp(settings.length))
        self._features_D = [_features(one, length) for one in model.kernel.distances_D]
        self._pairs = list(combinations(range(len(self._size_D)), 2))
        self._pair_size = float(np.exp(settings.interaction))
        self.parameters = [*((one,) for one in range(len(self._size_D))), *self._pairs]

    def design(self, places_ND: Integers) -> Array:
        """(N, W) what each weight adds to f at some places; its square is the kernel's prior."""
        at_D = [
            features_PF[places_ND[:, which]] for which, features_PF in enumerate(self._features_D)
        ]
        mains = [size * at_NF for size, at_NF in zip(self._size_D, at_D, strict=True)]
        pairs = [
            self._size_of(one, two) * np.einsum("na,nb->nab", at_D[one], at_D[two])
            for one, two in self._pairs
        ]
        return np.hstack([*mains, *(pair.reshape(len(places_ND), -1) for pair in pairs)])

    def draw(self, posterior: Posterior, number: int, rng: np.random.Generator) -> Array:
        """(W, X) draws of the weights, given the data.

        What earlier studies expect is put as weights too.
        """
        model, kernel = self._model, self._model.kernel
        design_VW = self.design(kernel.places_GD[posterior.pivots])
        weights_WX = rng.normal(size=(design_VW.shape[1], number))
        f_VX = design_VW @ weights_WX
        earlier_KG = kernel.earlier_f_KG * model.settings.weights_K[:, None]
        earlier_KX = rng.normal(size=(len(earlier_KG), number))
        f_VX += earlier_KG[:, posterior.pivots].T @ earlier_KX
        corrections_VX = posterior.draw_weights(f_VX, rng)
        weights_WX += design_VW.T @ corrections_VX
        if len(earlier_KG) == 0:
            return weights_WX
        earlier_KX += earlier_KG[:, posterior.pivots] @ corrections_VX
        expected_GX = model.means_GB[:, :1] + earlier_KG.T @ earlier_KX
        design_GW = self.design(kernel.places_GD)
        inner_WW = design_GW.T @ design_GW
        inner_WW[np.diag_indices_from(inner_WW)] += JITTER * np.trace(inner_WW) / len(inner_WW)
        result: Array = weights_WX + np.linalg.solve(inner_WW, design_GW.T @ expected_GX)
        return result

    def variances(self, weights_WX: Array) -> Array:
        """(C, X) variance of each effect over the space."""
        mean_DF = [features_PF.mean(axis=0) for features_PF in self._features_D]
        centred_D = [
            features_PF - mean_F
            for features_PF, mean_F in zip(self._features_D, mean_DF, strict=True)
        ]
        widths = [features_PF.shape[1] for features_PF in self._features_D]
        sizes = [*widths, *(widths[one] * widths[two] for one, two in self._pairs)]
        blocks = np.split(weights_WX, np.cumsum(sizes)[:-1])
        mains = [size * block for size, block in zip(self._size_D, blocks, strict=False)]
        of_pairs = []
        for (one, two), block in zip(self._pairs, blocks[len(widths) :], strict=True):
            block_FFX = self._size_of(one, two) * block.reshape(widths[one], widths[two], -1)
            # What a pair adds on average over one of the two belongs to the other's main effect.
            mains[one] = mains[one] + np.einsum("abx,b->ax", block_FFX, mean_DF[two])
            mains[two] = mains[two] + np.einsum("abx,a->bx", block_FFX, mean_DF[one])
            left_FFX = np.einsum("ac,cbx->abx", _square(centred_D[one]), block_FFX)
            right_FFX = np.einsum("acx,cb->abx", block_FFX, _square(centred_D[two]))
            of_pairs.append((left_FFX * right_FFX).sum(axis=(0, 1)))
        of_mains = [
            (main_FX * (_square(centred_PF) @ main_FX)).sum(axis=0)
            for main_FX, centred_PF in zip(mains, centred_D, strict=True)
        ]
        result: Array = np.maximum(np.array([*of_mains, *of_pairs]), 0.0)
        return result

    def _size_of(self, one: int, two: int) -> float:
        return float(np.sqrt(self._pair_size * self._size_D[one] * self._size_D[two]))


def _features(distances_PP: Array, length: float) -> Array:
    """(P, F) features whose products are the correlations between a parameter's places."""
    variances_P, axes_PP = np.linalg.eigh(matern(distances_PP / length))
    variances_P, axes_PP = np.maximum(variances_P[::-1], 0.0), axes_PP[:, ::-1]
    explained_P = np.cumsum(variances_P) / variances_P.sum()
    number = int(np.searchsorted(explained_P, _KEPT)) + 1
    result: Array = axes_PP[:, :number] * np.sqrt(variances_P[:number])
    return result


def _square(centred_PF: Array) -> Array:
    """(F, F) covariance of a parameter's features over its places."""
    result: Array = centred_PF.T @ centred_PF / len(centred_PF)
    return result
