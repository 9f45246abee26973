"""How much the folds of a search differ, and how well their rankings agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import stdev

import numpy as np

from histsearch.search.freeze_thaw_trials import fold_of
from histsearch.studies.standing import known_standing
from histsearch.studies.study import Study

_FEWEST_TO_RANK = 3  # configurations

_Curves = Mapping[int, Sequence[float]]
"""The score after each epoch that one configuration had on each fold."""


@dataclass(frozen=True)
class FoldComparison:
    """The folds of a search.

    Attributes:
        folds: How many there are.
        effects: Points that each fold adds at the last epoch, less their mean, as the
            model of all curves expects; None until trials have run on two folds.
        spread: Standard deviation of the effects, in points.
        agreement: Kendall's tau between the rankings of configurations by two folds, all pairs
            of folds together; None for fewer than three configurations that ran on the same two.
        ranked: Configurations that it is over.
    """

    folds: int
    effects: list[float] | None
    spread: float | None
    agreement: float | None
    ranked: int


def compare_folds(study: Study) -> FoldComparison | None:
    """Compare the folds of a search; None where it has one, and of a retraining."""
    folds = study.definition.folds
    if folds == 1:
        return None
    curves = _curves(study)
    ran_on = {fold for of_folds in curves for fold in of_folds}
    stored = known_standing(study) if len(ran_on) > 1 else None
    effects = None if stored is None else list(stored.standing.fold_effects)
    agreement, ranked = _agreement(curves)
    return FoldComparison(
        folds, effects, None if effects is None else stdev(effects), agreement, ranked
    )


def _curves(study: Study) -> list[_Curves]:
    """Of each configuration that ran, its longest curve on each fold."""
    found: dict[str, dict[int, list[float]]] = {}
    for trial in study.trials():
        steps = trial.intermediate_values
        fold = fold_of(trial, study.definition.folds)
        if fold is None or not steps:
            continue
        of_folds = found.setdefault(repr(sorted(trial.params.items())), {})
        curve = [steps[epoch] for epoch in sorted(steps)]
        of_folds[fold] = max(of_folds.get(fold, []), curve, key=len)
    return list(found.values())


def _agreement(curves: Sequence[_Curves]) -> tuple[float | None, int]:
    """Kendall's tau over all pairs of folds, and the number of configurations that it is over.

    Two configurations are compared after the last epoch that all four curves have.
    """
    signs: list[float] = []
    ranked: set[int] = set()
    for (first, one), (second, two) in combinations(enumerate(curves), 2):
        for folds in combinations(sorted(one.keys() & two.keys()), 2):
            last = min(len(curve[fold]) for curve in (one, two) for fold in folds) - 1
            ahead = [np.sign(one[fold][last] - two[fold][last]) for fold in folds]
            signs.append(float(ahead[0] * ahead[1]))
            ranked |= {first, second}
    if len(ranked) < _FEWEST_TO_RANK:
        return None, len(ranked)
    return float(np.mean(signs)), len(ranked)
