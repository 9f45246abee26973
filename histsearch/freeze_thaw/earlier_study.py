"""What an earlier study teaches a new one: the R@1 its model expects of each configuration."""

# G = configurations asked about, V = those the earlier study knows others by, K = earlier studies,
# B = parts of what a configuration adds to the shared curve

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.candidates import Candidates, SearchSpace
from histsearch.freeze_thaw.curve_basis import PARTS
from histsearch.freeze_thaw.kernel import Kernel
from histsearch.freeze_thaw.planner import Planner
from histsearch.freeze_thaw.settings import Settings
from histsearch.freeze_thaw.trials import Configuration, TrialView

_FITS = 3  # rounds until a model's settings have settled


class EarlierStudy(NamedTuple):
    """What one study's trials showed, as far as its model makes use of it.

    Attributes:
        study: Its name.
        space: Its searched parameters.
        usual: A value of each of them, for a later study that doesn't search the parameter: that of
            the best configuration it tried, or the one the later study trains with.
        settings: The model's parameters.
        configurations: The V tried ones that its model knows all others by.
        weights_BV: Of each in what any configuration adds, by the kernel between the two.
    """

    study: str
    space: SearchSpace
    usual: Configuration
    settings: Settings
    configurations: Sequence[Configuration]
    weights_BV: Array

    def expects(self, configurations: Sequence[Configuration]) -> Array:
        """(G, B) what configurations of another study add, in points above their average.

        Each is looked at as the nearest of this study's: a number as the nearest of its list or
        range, a parameter that the other study hasn't at its usual value. Where a word has no
        counterpart here, the average is expected, and everywhere where an earlier version of the
        model learned it, whose curves had other parts.
        """
        if len(self.weights_BV) != PARTS:
            return np.zeros((len(configurations), PARTS))
        placed = [self.space.nearest_places({**self.usual, **one}) for one in configurations]
        known_G = np.array([places is not None for places in placed])
        nowhere = [0] * len(self.space.names)
        asked_GD = np.array([nowhere if places is None else places for places in placed])
        places_GD = np.concatenate([asked_GD, self.space.places(self.configurations)])
        kernel = Kernel(places_GD, self.space.distances_D, np.zeros((0, len(places_GD))))
        rows = np.arange(len(places_GD))
        asked = len(configurations)
        kernel_GV = kernel.covariance(self.settings, rows[:asked], rows[asked:])
        expected_GB: Array = kernel_GV @ self.weights_BV.T
        if known_G.any():
            expected_GB -= expected_GB[known_G].mean(axis=0)
        expected_GB[~known_G] = 0.0
        return expected_GB

    def with_usual(self, values: Mapping[str, Any]) -> Self:
        """The same, with other usual values where they are this study's parameters."""
        own = {name: value for name, value in values.items() if name in self.usual}
        return self._replace(usual={**self.usual, **own})


def expected_by_all(
    earlier: Sequence[EarlierStudy], configurations: Sequence[Configuration]
) -> Array:
    """(K, G, B) what each earlier study expects."""
    return np.array([one.expects(configurations) for one in earlier]).reshape(
        len(earlier), len(configurations), PARTS
    )


def learn_from(
    study: str,
    candidates: Candidates,
    views: Sequence[TrialView],
    epochs: int,
    folds: int = 1,
) -> EarlierStudy:
    """What the trials of a study teach later ones.

    Args:
        study: Its name.
        candidates: What it chose from.
        views: Its trials that count, one with an epoch at least.
        epochs: Epochs of a full run.
        folds: Folds that its trials validate on.
    """
    planner = Planner(candidates.places_GD, candidates.distances_D, epochs, folds=folds)
    for _ in range(_FITS):
        planner.fit_to(views)
    posterior = planner.posterior(views)
    best = max({view.configuration for view in views}, key=lambda row: float(posterior.mean_G[row]))
    return EarlierStudy(
        study,
        candidates.space,
        candidates.configurations[best],
        planner.model.settings.without_folds(),
        [candidates.configurations[row] for row in posterior.pivots],
        posterior.weights_BV,
    )
