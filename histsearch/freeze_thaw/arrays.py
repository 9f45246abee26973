"""Types of arrays; a suffix names an array's axes in order."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

JITTER = 1e-6
"""Added to the diagonal of a covariance, so that rounding leaves it one."""
