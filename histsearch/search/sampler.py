"""How a study chooses the next configuration."""

from optuna.samplers import BaseSampler, TPESampler


def build_sampler(seed: int) -> BaseSampler:
    """Optuna's TPE, multivariate, aware of the trials other workers are running.

    Args:
        seed: Fixes the next choice. Claims of a study come one after another, so a seed derived
            from the study's seed and the trial's number makes a search with one worker
            repeatable, whichever process makes the claim.
    """
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)
