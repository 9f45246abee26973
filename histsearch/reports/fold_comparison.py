"""How much the folds of a search differ, and how well their rankings agree.

Axes: N configurations, M of them that come later, F folds (two), E epochs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import stdev

import numpy as np

from histsearch.studies.standing import known_standing
from histsearch.studies.study import Study
from histsearch.studies.trial_briefs import learning_curves

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
    for trial, curve in learning_curves(study):
        if trial.fold is None:
            continue
        of_folds = found.setdefault(repr(sorted(trial.params.items())), {})
        of_folds[trial.fold] = max(of_folds.get(trial.fold, []), curve, key=len)
    return list(found.values())


def _agreement(curves: Sequence[_Curves]) -> tuple[float | None, int]:
    """Kendall's tau over all pairs of folds, and the number of configurations that it is over.

    Two configurations are compared after the last epoch that all four curves have.
    """
    signs, pairs = 0.0, 0
    ranked: set[int] = set()
    folds = sorted({fold for of_folds in curves for fold in of_folds})
    for both in combinations(folds, 2):
        on_both = [number for number, one in enumerate(curves) if one.keys() >= {*both}]
        if len(on_both) < 2:
            continue
        ranked |= {*on_both}
        signs += _agreements([[curves[number][fold] for fold in both] for number in on_both])
        pairs += math.comb(len(on_both), 2)
    if len(ranked) < _FEWEST_TO_RANK:
        return None, len(ranked)
    return signs / pairs, len(ranked)


def _agreements(curves: Sequence[Sequence[Sequence[float]]]) -> float:
    """Over all pairs of configurations, how many two folds rank alike less those they don't.

    Args:
        curves: Of each configuration, its curve on either fold.
    """
    length_N = np.array([min(map(len, of_folds)) for of_folds in curves])
    curve_NFE = np.zeros((len(curves), 2, length_N.max()))
    for row, (of_folds, length) in enumerate(zip(curves, length_N, strict=True)):
        curve_NFE[row, :, :length] = [curve[:length] for curve in of_folds]
    total = 0.0
    for row, length in enumerate(length_N):
        later_M = np.arange(row + 1, len(curves))
        last_M = np.minimum(length, length_N[later_M]) - 1
        ahead_FM = curve_NFE[row][:, last_M] - curve_NFE[later_M, :, last_M].T
        total += float(np.sign(ahead_FM).prod(axis=0).sum())
    return total
