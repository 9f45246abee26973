"""What a study keeps of the earlier ones it began with, and what it teaches later ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.settings import Settings
from histsearch.search.freeze_thaw_parameters import distribution, parameter, space_of
from histsearch.search.freeze_thaw_trials import read_trial

if TYPE_CHECKING:
    from histsearch.freeze_thaw.earlier_study import EarlierStudy

# What works a model out takes half a second to import, which whoever asks none is spared.

EARLIER_STUDIES = "histsearch.warm_start"
"""Attribute of a study: the earlier studies it began with."""


def attributes_of(study: optuna.Study) -> Mapping[str, Any]:
    """A study's user attributes, not to be changed: Optuna's own way copies all of them."""
    return study._storage.get_study_user_attrs(study._study_id)


def names_of_earlier_studies(study: optuna.Study) -> list[str]:
    """The names of the earlier studies that a study began with."""
    return [str(entry["study"]) for entry in attributes_of(study).get(EARLIER_STUDIES, [])]


def read_earlier_studies(study: optuna.Study) -> "list[EarlierStudy]":
    """The earlier studies that a study began with."""
    return [from_json(entry) for entry in attributes_of(study).get(EARLIER_STUDIES, [])]


def to_json(earlier: "EarlierStudy") -> dict[str, Any]:
    """A form that a study can remember."""
    space = earlier.space
    return {
        "study": earlier.study,
        "search_space": {
            name: distribution_to_json(distribution(one)) for name, one in space.parameters.items()
        },
        "usual": earlier.usual,
        "settings": _rounded(earlier.settings.values_S),
        "configurations": [[one[name] for name in space.names] for one in earlier.configurations],
        "weights": [_rounded(weights_V) for weights_V in earlier.weights_BV],
    }


def from_json(entry: Mapping[str, Any]) -> "EarlierStudy":
    """Read what `to_json` wrote."""
    from histsearch.freeze_thaw.earlier_study import EarlierStudy

    space = SearchSpace(
        {
            name: parameter(json_to_distribution(text))
            for name, text in entry["search_space"].items()
        }
    )
    return EarlierStudy(
        entry["study"],
        space,
        entry["usual"],
        Settings(np.array(entry["settings"])),
        [dict(zip(space.names, values, strict=True)) for values in entry["configurations"]],
        np.array(entry["weights"]),
    )


def _rounded(values: Array) -> list[float]:
    return [round(float(value), 6) for value in values]


def learn(
    name: str,
    study: optuna.Study,
    distributions: Mapping[str, BaseDistribution],
    epochs: int,
    folds: int = 1,
) -> "EarlierStudy | None":
    """What a study teaches later ones; None if it has no epoch yet.

    Configurations that failed or diverged teach nothing. What it was taught itself isn't passed on:
    name the earlier studies beside it.

    Args:
        name: Its name.
        study: The study.
        distributions: Its searched parameters.
        epochs: Epochs of a full run.
        folds: Folds that its trials validate on.
    """
    from histsearch.freeze_thaw.earlier_study import learn_from
    from histsearch.freeze_thaw.search import FreezeThawSearch

    space = space_of(distributions)
    trials = [
        read_trial(trial, space, epochs, folds=1)
        for trial in study.get_trials(deepcopy=False)
        if space.holds(trial.params)
    ]
    search = FreezeThawSearch(space, epochs, trials)
    views = [
        view._replace(running=False)
        for view in search.views
        if view.recalls and view.configuration not in search.barred
    ]
    return learn_from(name, search.candidates, views, epochs, folds) if views else None
