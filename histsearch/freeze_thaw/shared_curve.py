"""The curve that all trials share: m(t)."""

# T = epochs of a full run, B = parts of what a configuration adds to it

import numpy as np

from histsearch.freeze_thaw.arrays import Array
from histsearch.freeze_thaw.curve_basis import times_apart
from histsearch.freeze_thaw.matern import matern

# Its level and its slope are free, its shape strays from h by some points.
_LEVEL, _SLOPE, _STRAY = 50.0, 30.0, 3.0


def shared_curve_covariance(basis_TB: Array) -> Array:
    """(T, T) covariance of the shared curve."""
    scaled_TB = basis_TB[:, :2] * np.array([_LEVEL, _SLOPE])
    result: Array = scaled_TB @ scaled_TB.T + _STRAY**2 * matern(times_apart(len(basis_TB)))
    return result
