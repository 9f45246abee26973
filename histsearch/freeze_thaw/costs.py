"""What an epoch of a configuration costs, in seconds."""

# G = configurations, A = actions, N = trials, F = features

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw.arrays import Array, Integers
from histsearch.freeze_thaw.kernel import Kernel
from histsearch.freeze_thaw.trials import TrialView

_SPREAD, _NOISE = 0.5, 0.1  # standard deviations of the logarithm: of configurations, of a trial


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _weights(features_NF: Array, values_N: Array) -> Array:
    """(F,) posterior mean of the features' weights, by the smaller of two equal systems."""
    ratio = (_NOISE / _SPREAD) ** 2
    trials, features = features_NF.shape
    if trials < features:
        inner_NN = features_NF @ features_NF.T + ratio * np.eye(trials)
        return features_NF.T @ np.linalg.solve(inner_NN, values_N)
    inner_FF = features_NF.T @ features_NF + ratio * np.eye(features)
    solved_F: Array = np.linalg.solve(inner_FF, features_NF.T @ values_N)
    return solved_F


class EpochCosts:
    """Seconds of an epoch of every configuration, learned from those that ran.

    The logarithm varies by an additive kernel with fixed settings; a trial's first epoch, with its
    warm-up, takes a common factor longer.
    """

    def __init__(self, kernel: Kernel, trials: Sequence[TrialView]) -> None:
        self._log_seconds_G = np.zeros(len(kernel.places_GD))
        self._first = 1.0
        known = [trial for trial in trials if trial.seconds]
        if not known:
            return
        ratios = [
            trial.seconds[0] / _mean(trial.seconds[1:]) for trial in known if trial.seconds[1:]
        ]
        self._first = float(np.median(ratios)) if ratios else 1.0
        logs_N = np.log(
            [
                _mean(trial.seconds[1:]) if trial.seconds[1:] else trial.seconds[0] / self._first
                for trial in known
            ]
        )
        features_GF = kernel.features(1.0)
        features_NF = features_GF[[trial.configuration for trial in known]]
        mean = float(logs_N.mean())
        self._log_seconds_G = mean + features_GF @ _weights(features_NF, logs_N - mean)

    def of(
        self, configurations_A: Integers, before_A: Integers, after_A: Integers, switch_A: Array
    ) -> Array:
        """Seconds of the epochs after ``before_A`` up to ``after_A``, and of a switch."""
        epochs_A = after_A - before_A + switch_A + (self._first - 1.0) * (before_A == 0)
        seconds_A: Array = np.exp(self._log_seconds_G[configurations_A]) * epochs_A
        return seconds_A
