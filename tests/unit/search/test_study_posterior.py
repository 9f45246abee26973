"""For how long a configuration is best trained, by the model of all curves."""

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from histsearch.search.study_posterior import StudyPosterior

TAUS: dict[str, BaseDistribution] = {"tau": CategoricalDistribution((4, 8, 16))}
RATES: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}


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
    return StudyPosterior.of(study, space, epochs).training_length(study.trials[of])


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
