"""Expected improvement (Jones et al., 1998), and the action that it favours."""

# G = configurations, A = actions

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from histsearch.freeze_thaw.actions import Options
from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.posterior import Posterior

_SLIGHTLY = 1e-6


def expected_improvement(behind: Array, deviation: Array) -> Array:
    """E[max(X, 0)] of normal X, by their means and standard deviations; above zero.

    Args:
        behind: The means: how far each is above the best, in points.
        deviation: The standard deviations, in points.
    """
    standard = behind / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
    improvement: Array = behind * ndtr(standard) + deviation * density
    return np.maximum(improvement, np.finfo(float).tiny)


def promise(
    posterior: Posterior, options: Options, barred: Sequence[int], left: Sequence[int]
) -> Array:
    """(A,) the expected improvement of the configuration, for the shortest actions.

    Of its trials the longest one is the first choice. Those that were left for good aren't begun
    anew.
    """
    hope_G = posterior.mean_G - posterior.mean_G[posterior.best_but(barred)]
    improvement_G = expected_improvement(hope_G, np.sqrt(posterior.own_GBB[:, 0, 0]))
    value_A: Array = improvement_G[options.configurations_A] * (1.0 + _SLIGHTLY * options.before_A)
    again_A = (options.trials_A < 0) & np.isin(options.configurations_A, left)
    return np.where(options.shortest_A & ~again_A, value_A, 0.0)
