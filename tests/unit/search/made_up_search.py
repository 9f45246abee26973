"""A search that trains nothing: R@1 is a function of the configuration and the epoch."""

from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from histsearch.search.freeze_thaw_pruner import FreezeThawPruner
from histsearch.search.freeze_thaw_sampler import FreezeThawSampler

EPOCHS = 4
TWO: dict[str, BaseDistribution] = {"tau": CategoricalDistribution((4, 32))}
FINITE: dict[str, BaseDistribution] = {
    "tau": CategoricalDistribution((4, 8, 16, 32)),
    "batch_size": CategoricalDistribution((8, 16, 32)),
}
MIXED: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "batch_size": IntDistribution(8, 64),
    "optimizer": CategoricalDistribution(("adam", "adamw")),
}


def recall(params: dict[str, Any], epoch: int, seed: int) -> float:
    best = {"tau": 16, "batch_size": 8, "lr": 1e-2, "optimizer": "adamw"}
    loss = 0.0
    for name, value in params.items():
        if isinstance(value, str):
            loss += 0.02 * (value != best[name])
        else:
            loss += 0.03 * abs(np.log2(value / best[name]))
    noise = 0.005 * np.random.default_rng((seed, epoch)).normal()
    return float(0.9 - loss - 0.1 / epoch + noise)


def search(space: dict[str, BaseDistribution], trials: int, seed: int = 0) -> optuna.Study:
    study = optuna.create_study(
        direction="maximize",
        sampler=FreezeThawSampler(space, EPOCHS, seed=seed),
        pruner=FreezeThawPruner(space, EPOCHS),
    )
    for _ in range(trials):
        trial = study.ask(space)
        for epoch in range(1, EPOCHS + 1):
            value = recall(trial.params, epoch, trial.number)
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
    return study
