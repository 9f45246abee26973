"""For how long a configuration is best trained, by the model of all curves."""

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from histsearch.search.outlook import Outlook, plateau_end

TAUS: dict[str, BaseDistribution] = {"tau": CategoricalDistribution((4, 8, 16))}
RATES: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}


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


def length(
    space: Mapping[str, BaseDistribution],
    trials: Sequence[tuple[Mapping[str, float], Sequence[float]]],
    epochs: int,
    of: int = 0,
) -> int | None:
    study = optuna.create_study(direction="maximize")
    for params, curve in trials:
        study.add_trial(
            create_trial(
                params=dict(params),
                distributions=dict(space),
                intermediate_values=dict(enumerate(curve, start=1)),
                value=max(curve, default=0.0),
                state=TrialState.COMPLETE,
            )
        )
    return Outlook.of(study, space, epochs).training_length(study.trials[of])


def test_a_length_in_ranges() -> None:
    rising, overfitting = np.array([0.60, 0.65, 0.68, 0.70]), np.array([0.60, 0.72, 0.66, 0.60])
    rng = np.random.default_rng(0)
    trials = [
        ({"lr": lr}, (curve + 0.003 * rng.normal(size=4)).tolist())
        for lr, curve in [(0.05, overfitting), (0.001, rising)] * 3
    ]
    assert length(RATES, trials, 4) == 2
    assert length(RATES, trials, 4, of=1) == 4


def test_a_configuration_without_an_epoch_has_the_length_that_its_neighbours_show() -> None:
    falling = [({"tau": tau}, (0.60, 0.50, 0.42, 0.36)) for tau in (4, 8)] * 2
    assert length(TAUS, [({"tau": 16}, ()), *falling], 4) == 1


def test_without_any_epoch_there_is_no_length() -> None:
    assert length(TAUS, [({"tau": 16}, ())], 4) is None
