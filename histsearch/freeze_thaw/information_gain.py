"""What an action tells of which configuration is best, per second."""

# G = configurations, A = actions, R = configurations in question, X = spans of epochs,
# B = parts of what a configuration adds to the shared curve

from collections.abc import Sequence

import numpy as np

from histsearch.freeze_thaw.actions import Options
from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.curve_basis import PARTS
from histsearch.freeze_thaw.expected_improvement import expected_improvement
from histsearch.freeze_thaw.posterior import Posterior

_IN_QUESTION = 128  # configurations, those with the most expected improvement
_SPAN = 1_000_000


def information(posterior: Posterior, options: Options, barred: Sequence[int]) -> Array:
    """(A,) what an action takes away of the doubts that matter, per second."""
    if len(posterior.mean_G) == 1:
        return 1.0 / options.seconds_A
    spans, which_A = np.unique(options.before_A * _SPAN + options.after_A, return_inverse=True)
    precision_XBB = np.array([posterior.foresee(*divmod(int(span), _SPAN)) for span in spans])
    precision_ABB = precision_XBB[which_A]
    rows_A = options.configurations_A
    # N·(1 + Σ·N)⁻¹ is what the epochs bring beyond what is known.
    reached_ABB = np.eye(PARTS) + precision_ABB @ posterior.own_GBB[rows_A]
    gained_ABB = np.linalg.solve(reached_ABB, precision_ABB)
    value_A = np.einsum("aij,aij->a", gained_ABB, _questions(posterior, barred)[rows_A])
    rates_A: Array = np.maximum(value_A, np.finfo(float).tiny) / options.seconds_A
    return rates_A


def _questions(posterior: Posterior, barred: Sequence[int]) -> Array:
    """(G, B, B) how the parts of a configuration's curve bear on the doubts that matter.

    The sum over configurations in question of what their difference from the best one shares with
    these parts, as a share of its variance and weighed by its expected improvement.
    """
    best = posterior.best_but(barred)
    deviation_G = posterior.deviations_from(best)
    improvement_G = expected_improvement(posterior.mean_G - posterior.mean_G[best], deviation_G)
    order_G = np.argsort(-improvement_G, kind="stable")
    rows_R = order_G[~np.isin(order_G, [best, *barred])][:_IN_QUESTION]
    covariance_BRG = posterior.covariance([*rows_R, best])
    shared_BRG = covariance_BRG[:, :-1] - covariance_BRG[:, -1:]
    shared_BRG *= (np.sqrt(improvement_G[rows_R]) / deviation_G[rows_R])[:, None]
    questions_GBB: Array = np.einsum("irg,jrg->gij", shared_BRG, shared_BRG)
    return questions_GBB
