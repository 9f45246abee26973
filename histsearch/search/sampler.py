"""How a study chooses the next configuration."""

import warnings
from typing import assert_never

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from histsearch.search.distributions import optuna_distributions
from histsearch.search.freeze_thaw_trials import TrialReader
from histsearch.search.grid import GridSampler
from histsearch.space.parameters import Range
from histsearch.space.space import Space
from histsearch.space.strategies import (
    FreezeThawSamplerSettings,
    GPSettings,
    GridSettings,
    RandomSettings,
    TPESettings,
)


def build_sampler(space: Space, seed: int, reader: TrialReader | None = None) -> BaseSampler:
    """The sampler a space asks for.

    Args:
        space: The space to sample from.
        seed: Fixes the next choice. Claims of a study come one after another, so a seed derived
            from the study's seed and the trial's number makes a search with one worker
            repeatable, whichever process makes the claim.
        reader: Reads the study's trials, where it can remember them.
    """
    settings = space.sampler
    match settings:
        case FreezeThawSamplerSettings():
            # Takes half a second to import, which commands that ask no model are spared.
            from histsearch.search.freeze_thaw_sampler import FreezeThawSampler

            return FreezeThawSampler(
                optuna_distributions(space),
                space.epochs,
                seed=seed,
                min_epochs=space.min_epochs,
                folds=space.protocol.folds,
                reader=reader,
            )
        case TPESettings():
            return TPESampler(
                n_startup_trials=settings.startup_trials,
                multivariate=settings.multivariate,
                constant_liar=True,
                seed=seed,
            )
        case GPSettings():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return GPSampler(
                    n_startup_trials=settings.startup_trials,
                    deterministic_objective=False,
                    seed=seed,
                )
        case GridSettings():
            return GridSampler(
                {
                    name: parameter
                    for name, parameter in space.search.items()
                    if not isinstance(parameter, Range)  # a space with the grid sampler has none
                },
                rounds=space.protocol.folds * settings.seeds,
            )
        case RandomSettings():
            return RandomSampler(seed=seed)
        case _:
            assert_never(settings)
