"""What earlier studies teach a new one: the R@1 that their models expect of its configurations."""

# G = configurations asked about, V = those the earlier study knows others by, K = earlier studies,
# B = parts of what a configuration adds to the shared curve

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    distribution_to_json,
    json_to_distribution,
)

from histsearch.search.candidates import Configuration, SearchSpace
from histsearch.search.curve_model import PARTS, Array, CurveModel, Settings

EXPERIENCES = "histsearch.warm_start"
"""Attribute of a study: the experiences it began with."""


class Experience(NamedTuple):
    """What one study's trials showed, as far as its model makes use of it.

    Attributes:
        study: Its name.
        search_space: Its searched parameters.
        usual: A value of each of them, for a later study that doesn't search the parameter: that of
            the best configuration it tried, or the one the later study trains with.
        settings: The model's hyperparameters.
        configurations: The V tried ones that its model knows all others by.
        weights_BV: Of each in what any configuration adds, by the kernel between the two.
    """

    study: str
    search_space: Mapping[str, BaseDistribution]
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
        space = SearchSpace(self.search_space)
        placed = [space.nearest_places({**self.usual, **one}) for one in configurations]
        known_G = np.array([places is not None for places in placed])
        nowhere = [0] * len(space.names)
        asked_GD = np.array([nowhere if places is None else places for places in placed])
        places_GD = np.concatenate([asked_GD, space.places(self.configurations)])
        model = CurveModel(places_GD, space.distances_D, 1)
        rows = np.arange(len(places_GD))
        asked = len(configurations)
        kernel_GV = model.kernel(self.settings, rows[:asked], rows[asked:])
        expected_GB: Array = kernel_GV @ self.weights_BV.T
        if known_G.any():
            expected_GB -= expected_GB[known_G].mean(axis=0)
        expected_GB[~known_G] = 0.0
        return expected_GB

    def with_usual(self, values: Mapping[str, Any]) -> Self:
        """The same, with other usual values where they are this study's parameters."""
        own = {name: value for name, value in values.items() if name in self.usual}
        return self._replace(usual={**self.usual, **own})

    def to_json(self) -> dict[str, Any]:
        """A form that a study can remember."""
        names = list(self.search_space)
        return {
            "study": self.study,
            "search_space": {
                name: distribution_to_json(distribution)
                for name, distribution in self.search_space.items()
            },
            "usual": self.usual,
            "settings": _rounded(self.settings.values_S),
            "configurations": [[one[name] for name in names] for one in self.configurations],
            "weights": [_rounded(weights_V) for weights_V in self.weights_BV],
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        names = list(entry["search_space"])
        return cls(
            entry["study"],
            {name: json_to_distribution(text) for name, text in entry["search_space"].items()},
            entry["usual"],
            Settings(np.array(entry["settings"])),
            [dict(zip(names, values, strict=True)) for values in entry["configurations"]],
            np.array(entry["weights"]),
        )


def _rounded(values: Array) -> list[float]:
    return [round(float(value), 6) for value in values]


def read_experiences(study: optuna.Study) -> list[Experience]:
    """The experiences a study began with."""
    return [Experience.from_json(entry) for entry in study.user_attrs.get(EXPERIENCES, [])]


def favourites(
    study: optuna.Study, search_space: Mapping[str, BaseDistribution]
) -> list[Configuration]:
    """The earlier studies' best configurations, those that the study's space has."""
    space = SearchSpace(search_space)
    found = [
        {name: one.usual[name] for name in space.names if name in one.usual}
        for one in read_experiences(study)
    ]
    return [configuration for configuration in found if space.holds(configuration)]


def expected_by_all(
    experiences: Sequence[Experience], configurations: Sequence[Configuration]
) -> Array:
    """(K, G, B) what each experience expects."""
    return np.array([one.expects(configurations) for one in experiences]).reshape(
        len(experiences), len(configurations), PARTS
    )
