"""For how many epochs a configuration is best trained."""

import numpy as np

from histsearch.freeze_thaw.arrays import Array

_PLATEAU = 0.5  # points of R@1 under the peak: what a search counts as no difference
_SURELY = 2.0  # standard deviations


def plateau_end(mean_T: Array, covariance_TT: Array) -> int:
    """The last epoch, from 1 on, at which a curve isn't surely below its peak.

    A later epoch is given up when it is expected to be worse by more than half a point and by more
    than two standard deviations of the difference: a few curves that fall may have done so by luck,
    and a run cut short by mistake loses more than one that goes on along a plateau.

    Args:
        mean_T: Expected R@1 after each epoch, in percent.
        covariance_TT: Its covariance.
    """
    peak = int(mean_T.argmax())
    variance_T = np.diag(covariance_TT) - 2.0 * covariance_TT[peak] + covariance_TT[peak, peak]
    doubt_T = _SURELY * np.sqrt(np.maximum(variance_T, 0.0))
    on_plateau_T = mean_T[peak] - mean_T <= np.maximum(_PLATEAU, doubt_T)
    return int(np.flatnonzero(on_plateau_T)[-1]) + 1
