"""How much of its budget a search trains, by what searches of benchmarks/search did."""

from typing import assert_never

from histsearch.space.space import Space
from histsearch.space.strategies import (
    FreezeThawPrunerSettings,
    HalvingSettings,
    HyperbandSettings,
    MedianSettings,
    NoPrunerSettings,
)

# Means over six tables and several numbers of trials: "How much of a budget is trained" in
# benchmarks/search/few-trials.md.
_WITH_PAUSES = 0.60
_WITH_HALVING = 0.27
_WITH_HYPERBAND = 0.50
_UNDER_THE_MEDIAN = 0.38  # of a trial after the first few, which run in full


def trained_share(space: Space, trials: int) -> float:
    """The part of the epochs of so many full runs that a search probably trains.

    What may end it sooner, its hours or a winner that is decided, doesn't count.

    Args:
        space: What is searched, and how.
        trials: Number of the search's trials, at least 1.
    """
    pruner = space.pruner
    match pruner:
        case FreezeThawPrunerSettings():
            share, fewest = _WITH_PAUSES, pruner.min_epochs or 0
        case MedianSettings():
            full = min(1.0, pruner.startup_trials / trials)
            share, fewest = full + (1.0 - full) * _UNDER_THE_MEDIAN, pruner.warmup_epochs or 0
        case HalvingSettings():
            share, fewest = _WITH_HALVING, pruner.min_epochs
        case HyperbandSettings():
            share, fewest = _WITH_HYPERBAND, pruner.min_epochs
        case NoPrunerSettings():
            share, fewest = 1.0, 0
        case _:
            assert_never(pruner)
    return min(1.0, max(share, fewest / space.epochs))
