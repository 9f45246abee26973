"""How sure a search is of its winner: the probabilities that end it."""

# G = configurations, D = parameters, C = configurations that count, R = those that ran

from collections.abc import Callable, Collection, Sequence

import numpy as np

from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.fitting import draw_settings
from histsearch.freeze_thaw.kernel import Kernel
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.threads import one_thread
from histsearch.freeze_thaw.trials import Curve, Pending, TrialView, curves_of

_FEWEST_TO_DECIDE = 3  # configurations that have run
_FEWEST_COMPLETE = 4  # configurations, before begun trials are given up
_DRAWS = 48  # of the model's settings, to be sure that a study is decided
_NEAR = 0.125  # of a parameter's whole range: values that speak for one another


def chance_of_better(
    model: CurveModel,
    trials: Sequence[TrialView],
    winner: int,
    delta: float,
    epsilon: float,
    rng: np.random.Generator,
    barred: Sequence[int] = (),
) -> float:
    """The probability that a candidate beats the winner by more than ``delta``.

    It is 1 until three candidates that count have run, or all there are, and every value has,
    or one near it: a model that was shown one side of a cliff doesn't expect the other, and
    what earlier studies say may be wrong. Few data also leave it open how much a parameter
    matters, and how much is luck; so the probability is a mean over draws of the model's
    settings. As these take a second, the settings at hand are asked first, and have the word
    where they doubt it already.

    Args:
        model: With the settings at hand.
        trials: All trials of the study.
        winner: The candidate that would be recommended.
        delta: In points of R@1.
        epsilon: From this probability on the settings at hand suffice.
        rng: Source of the samples that it is counted in.
        barred: Candidates that don't count.
    """
    count = set(range(len(model.means_GB))).difference(barred)
    ran = count.intersection(trial.configuration for trial in trials if trial.recalls)
    if len(ran) < min(_FEWEST_TO_DECIDE, len(count)) or any(_unseen_D(model.kernel, ran, count)):
        return 1.0
    curves = curves_of(trials)

    def chance_by(one: CurveModel) -> float:
        return Posterior(one, curves, ()).chance_of_better(winner, delta, rng, barred)

    return _with_care(model, chance_by, curves, epsilon, rng)


def chance_of_overtaking(
    model: CurveModel,
    trials: Sequence[TrialView],
    winner: int,
    delta: float,
    epsilon: float,
    rng: np.random.Generator,
    barred: Sequence[int] = (),
) -> float:
    """The probability that trials that were begun, run to their ends, change the winner.

    That is, that the expected R@1 of another configuration among them then exceeds that of the
    winner by more than ``delta``. Uncertainty that these trials can't settle doesn't
    count, but for one time: a model that has seen few ends believes first epochs too much, so until
    four configurations are complete it is the probability that another is better, as for
    `chance_of_better`.

    Args:
        model: With the settings at hand.
        trials: All trials of the study; running and resumable ones are the begun ones.
        winner: The candidate that would be recommended.
        delta: In points of R@1.
        epsilon: From this probability on the settings at hand suffice; as for `chance_of_better`.
        rng: Source of the samples that it is counted in.
        barred: Candidates that don't count.
    """
    pending = [
        Pending(trial.configuration, len(trial.recalls), model.epochs, trial.fold)
        for trial in trials
        if (trial.running or trial.resumable) and trial.configuration not in barred
    ]
    rivals = sorted({one.configuration for one in pending}.difference([winner]))
    if not rivals:
        return 0.0
    complete = {one.configuration for one in trials if len(one.recalls) == model.epochs}
    curves = curves_of(trials)

    def chance_by(one: CurveModel) -> float:
        now = Posterior(one, curves, ())
        if len(complete) < _FEWEST_COMPLETE:
            return now.chance_of_overtaking(None, winner, rivals, delta, rng)
        later = Posterior(one, curves, pending)
        return now.chance_of_overtaking(later, winner, rivals, delta, rng)

    return _with_care(model, chance_by, curves, epsilon, rng)


def _with_care(
    model: CurveModel,
    chance_by: Callable[[CurveModel], float],
    curves: Sequence[Curve],
    epsilon: float,
    rng: np.random.Generator,
) -> float:
    """A probability by the settings at hand; where that is small, by draws of settings."""
    with one_thread():
        chance = chance_by(model)
        if chance >= epsilon:
            return chance
        drawn = draw_settings(model, curves, _DRAWS, rng)
        return sum(weight * chance_by(one) for weight, one in drawn)


def unseen(
    kernel: Kernel, trials: Sequence[TrialView], barred: Sequence[int] = ()
) -> list[list[int]]:
    """Of each parameter, the candidates whose value neither ran nor one near it."""
    count = set(range(len(kernel.places_GD))).difference(barred)
    ran = count.intersection(trial.configuration for trial in trials if trial.recalls)
    return _unseen_D(kernel, ran, count) if ran else []


def _unseen_D(kernel: Kernel, ran: Collection[int], count: Collection[int]) -> list[list[int]]:
    rows_C = np.array(sorted(count))
    ran_RD, count_CD = kernel.places_GD[sorted(ran)], kernel.places_GD[rows_C]
    nearest_DC = [
        distances_PP[count_CD[:, which]][:, ran_RD[:, which]].min(axis=1)
        for which, distances_PP in enumerate(kernel.distances_D)
    ]
    return [rows_C[nearest_C >= _NEAR].tolist() for nearest_C in nearest_DC]
