"""The Matérn-5/2 correlation."""

import numpy as np

from histsearch.freeze_thaw.arrays import Array


def matern(distances: Array) -> Array:
    """Matérn-5/2 correlation at distances in units of the length scale."""
    scaled = np.sqrt(5.0) * distances
    result: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return result
