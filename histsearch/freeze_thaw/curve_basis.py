"""What a configuration adds to the shared curve: f + d·h(t) + b·sin(πh(t)) + c·sin(2πh(t))."""

# T = epochs of a full run, B = parts: f, d, b, c; E = effects of a fold: q, r

from functools import lru_cache

import numpy as np

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.settings import Settings

PARTS = 4
"""B: f, d, b and c, what a configuration adds to the shared curve."""

EFFECTS = 2
"""E: q and r, what a fold adds by the first of these parts' curves."""

_TINY = 1e-8


def basis(epochs: int, bend: float) -> Array:
    """(T, B): 1, h(t), sin(πh(t)) and sin(2πh(t)).

    h(t) = (t^-bend − T^-bend) / (1 − T^-bend), which is Box and Cox's family.
    """
    if epochs == 1:
        return np.array([[1.0, 0.0, 0.0, 0.0]])
    logs_T = np.log(np.arange(1, epochs + 1, dtype=float))
    bent_T = logs_T if abs(bend) < _TINY else -np.expm1(-bend * logs_T) / bend
    h_T = 1.0 - bent_T / bent_T[-1]
    bows_2T = np.sin(np.pi * np.array([[1.0], [2.0]]) * h_T)
    return np.stack([np.ones(epochs), h_T, *bows_2T], axis=1)


def coupling_factor(settings: Settings) -> Array:
    """(B, B) lower factor of the covariance of f, d, b and c, in units of the kernel."""
    early, bow = np.exp(settings.early_spread), np.exp(settings.bow)
    factor_BB = np.diag([1.0, early, bow, 0.5 * bow])
    factor_BB[1, 0] = settings.early_slope
    return factor_BB


def coupling(settings: Settings) -> Array:
    """(B, B) covariance of f, d, b and c, in units of the kernel over configurations."""
    factor_BB = coupling_factor(settings)
    result: Array = factor_BB @ factor_BB.T
    return result


@lru_cache(maxsize=8)
def times_apart(epochs: int) -> Array:
    """(T, T) how many times as late one epoch is as another, in logarithms."""
    logs_T = np.log(np.arange(1, epochs + 1, dtype=float))
    distances_TT: Array = np.abs(logs_T[:, None] - logs_T[None, :])
    return distances_TT
