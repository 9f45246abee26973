"""When a study gives a trial up."""

from collections.abc import Callable
from typing import assert_never

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)

from histsearch.search.distributions import optuna_distributions
from histsearch.search.freeze_thaw_pruner import FreezeThawPruner
from histsearch.search.freeze_thaw_trials import TrialReader
from histsearch.space.space import Space
from histsearch.space.strategies import (
    FreezeThawPrunerSettings,
    HalvingSettings,
    HyperbandSettings,
    MedianSettings,
    NoPrunerSettings,
)


def build_pruner(
    space: Space, may_start: Callable[[], bool], reader: TrialReader | None = None
) -> BasePruner:
    """The pruner a space asks for.

    Args:
        space: The space.
        may_start: Whether a new trial could be started now.
        reader: Reads the study's trials, where it can remember them.
    """
    settings = space.pruner
    match settings:
        case FreezeThawPrunerSettings():
            return FreezeThawPruner(
                optuna_distributions(space),
                space.epochs,
                min_epochs=settings.min_epochs,
                folds=space.protocol.folds,
                may_start=may_start,
                reader=reader,
            )
        case MedianSettings():
            # No trial ends in the first fifth of its epochs, while learning curves still cross.
            warmup = settings.warmup_epochs
            return MedianPruner(
                n_startup_trials=settings.startup_trials,
                n_warmup_steps=max(1, space.epochs // 5) if warmup is None else warmup,
            )
        case HalvingSettings():
            return SuccessiveHalvingPruner(
                min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor
            )
        case HyperbandSettings():
            return HyperbandPruner(
                min_resource=settings.min_epochs,
                max_resource=space.epochs,
                reduction_factor=settings.reduction_factor,
            )
        case NoPrunerSettings():
            return NopPruner()
        case _:
            assert_never(settings)
