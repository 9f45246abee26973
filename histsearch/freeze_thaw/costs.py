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
        precision_FF = features_NF.T @ features_NF / _NOISE**2
        precision_FF[np.diag_indices_from(precision_FF)] += 1.0 / _SPREAD**2
        mean = float(logs_N.mean())
        shift_F = features_NF.T @ (logs_N - mean) / _NOISE**2
        self._log_seconds_G = mean + features_GF @ np.linalg.solve(precision_FF, shift_F)

    def of(
        self, configurations_A: Integers, before_A: Integers, after_A: Integers, switch_A: Array
    ) -> Array:
        """Seconds of the epochs after ``before_A`` up to ``after_A``, and of a switch."""
        epochs_A = after_A - before_A + switch_A + (self._first - 1.0) * (before_A == 0)
        seconds_A: Array = np.exp(self._log_seconds_G[configurations_A]) * epochs_A
        return seconds_A
