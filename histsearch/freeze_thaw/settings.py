"""The model's hyperparameters, and their priors."""

# D = searched parameters, K = earlier studies, S = hyperparameters of the model,
# E = effects of a fold

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from histsearch.freeze_thaw.arrays import Array

# Means and standard deviations of the normal priors of the model's hyperparameters. Those above
# zero are logarithms, in points of R@1.
_SHARED_PRIORS = {
    "interaction": (np.log(0.2), 0.7),  # of two effects, as a part of the product of their sizes
    "length": (np.log(0.7), 0.4),
    "early_slope": (0.0, 0.5),  # d = early_slope · f + early_spread · (f's independent double)
    "early_spread": (np.log(1.0), 0.5),
    "bow": (np.log(0.1), 0.4),  # b = bow · (another), c = half of bow · (another)
    "seed": (np.log(0.7), 0.8),
    "early_seed": (np.log(0.7), 0.6),
    "drift": (np.log(0.7), 0.8),
    "noise": (np.log(1.0), 0.8),
    "bend": (0.0, 0.7),  # of h: -1 a straight line, 0 logarithmic, 1 like 1/t
}
_FOLD_PRIORS = {
    "fold": (np.log(3.0), 0.7),  # classes differ in difficulty by several points
    "early_fold": (np.log(1.0), 0.7),
}
_MAIN_PRIOR = (np.log(1.0), 1.2)
_EARLIER_PRIOR = (np.log(0.5), 0.7)  # of what an earlier study expects, beyond what is trusted
NAMES = tuple(_SHARED_PRIORS)
"""Of the shared settings, in the order of `Settings.values_S`."""


@dataclass(frozen=True)
class Settings:
    """The model's hyperparameters, on the scale of their priors.

    Attributes:
        values_S: Two of the folds where there are several, one an earlier study (the weight of
            what it expects), one a searched parameter (its main effect), then the shared ones.
        earlier: How many earlier studies there are.
        has_folds: Whether trials are of several folds.
    """

    values_S: Array
    earlier: int = 0
    has_folds: bool = False

    @property
    def main_D(self) -> Array:
        """Logarithms of the main effects' standard deviations."""
        return self.values_S[self._of_folds + self.earlier : -len(NAMES)]

    @property
    def weights_K(self) -> Array:
        """Standard deviations of the earlier studies' weights."""
        begin = self._of_folds
        weights_K: Array = np.exp(self.values_S[begin : begin + self.earlier])
        return weights_K

    @property
    def folds_E(self) -> Array:
        """Standard deviations of a fold's effects: on all epochs, and further on the first one."""
        folds_E: Array = np.exp(self.values_S[: self._of_folds])
        return folds_E

    @property
    def _of_folds(self) -> int:
        return len(_FOLD_PRIORS) if self.has_folds else 0

    @property
    def interaction(self) -> float:
        """Logarithm of the size of interactions, as a part of the product of two effects."""
        return self._shared("interaction")

    @property
    def length(self) -> float:
        """Logarithm of the length scale, as a part of a parameter's whole range."""
        return self._shared("length")

    @property
    def early_slope(self) -> float:
        """Of d, the part that follows f; see `coupling_factor`."""
        return self._shared("early_slope")

    @property
    def early_spread(self) -> float:
        """Logarithm of the size of the rest of d, in units of f."""
        return self._shared("early_spread")

    @property
    def bow(self) -> float:
        """Logarithm of the size of b, in units of f."""
        return self._shared("bow")

    @property
    def seed(self) -> float:
        """Logarithm of the standard deviation of a seed's effect on all epochs, in points."""
        return self._shared("seed")

    @property
    def early_seed(self) -> float:
        """Logarithm of that of a seed's further effect on the first epoch."""
        return self._shared("early_seed")

    @property
    def drift(self) -> float:
        """Logarithm of that of a trial's drift."""
        return self._shared("drift")

    @property
    def noise(self) -> float:
        """Logarithm of that of the white noise."""
        return self._shared("noise")

    @property
    def bend(self) -> float:
        """Of h: -1 a straight line, 0 logarithmic, 1 like 1/t."""
        return self._shared("bend")

    def _shared(self, name: str) -> float:
        return float(self.values_S[NAMES.index(name) - len(NAMES)])

    def at(self, values_S: Array) -> Self:
        """Others of the same kind."""
        return replace(self, values_S=values_S)

    def without_folds(self) -> Self:
        """The same but for those of folds."""
        return replace(self, values_S=self.values_S[self._of_folds :], has_folds=False)

    def moved(self, name: str, step: float) -> Self:
        """The same, with one shared setting so much larger."""
        values_S = self.values_S.copy()
        values_S[NAMES.index(name) - len(NAMES)] += step
        return self.at(values_S)


def prior(dimensions: int, earlier: int = 0, *, has_folds: bool = False) -> tuple[Array, Array]:
    """Mean and standard deviation of each hyperparameter of the model."""
    pairs = [_EARLIER_PRIOR] * earlier + [_MAIN_PRIOR] * dimensions + list(_SHARED_PRIORS.values())
    if has_folds:
        pairs = [*_FOLD_PRIORS.values(), *pairs]
    means_S, deviations_S = np.array(pairs).T
    return means_S, deviations_S
