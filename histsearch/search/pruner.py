"""When a study gives a trial up."""

from optuna.pruners import BasePruner, MedianPruner, NopPruner

from histsearch.search.space import Space

STARTUP_TRIALS = 5


def build_pruner(space: Space) -> BasePruner:
    """Optuna's median rule: end a trial whose best R@1 so far is under the median of its peers'.

    The first trials run in full, and no trial ends in the first fifth of its epochs, while
    learning curves still cross. A grid is run to see all of it, so none of its trials is ended.
    """
    if space.sampler == "grid":
        return NopPruner()
    return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=max(1, space.epochs // 5))
