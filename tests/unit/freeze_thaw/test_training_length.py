"""For how long a curve is best trained."""

from collections.abc import Sequence

import numpy as np
import pytest

from histsearch.freeze_thaw.training_length import plateau_end


@pytest.mark.parametrize(
    ("mean", "deviation", "end"),
    [
        ((100.0, 100.0, 100.0), 0.0, 3),
        ((60.0, 70.0, 69.6, 69.4), 0.0, 3),
        ((60.0, 70.0, 69.0, 69.6), 0.0, 4),
        ((60.0, 70.0, 68.0, 66.0), 1.0, 3),
        ((60.0, 70.0, 66.0, 64.0), 1.0, 2),
        ((70.0, 60.0), 1.0, 1),
        ((70.0,), 1.0, 1),
    ],
)
def test_the_end_of_a_plateau(mean: Sequence[float], deviation: float, end: int) -> None:
    covariance_TT = deviation**2 * np.eye(len(mean))
    assert plateau_end(np.array(mean), covariance_TT) == end


def test_epochs_that_rise_and_fall_together_are_told_apart() -> None:
    """What isn't known of the level of a curve doesn't matter."""
    mean_T, level_TT = np.array([60.0, 70.0, 68.0]), np.full((3, 3), 100.0)
    assert plateau_end(mean_T, level_TT) == 2
