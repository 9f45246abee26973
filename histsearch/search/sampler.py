"""How a study chooses the next configuration."""

from optuna.samplers import BaseSampler, TPESampler

from histsearch.search.grid import GridSampler
from histsearch.search.space import Range, Space


def build_sampler(space: Space, seed: int) -> BaseSampler:
    """The sampler a space asks for.

    "tpe" is Optuna's TPE, multivariate, aware of the trials other workers are running; "grid" takes
    every configuration once.

    Args:
        space: The space to sample from.
        seed: Fixes the next choice. Claims of a study come one after another, so a seed derived
            from the study's seed and the trial's number makes a search with one worker
            repeatable, whichever process makes the claim.
    """
    if space.sampler == "grid":
        return GridSampler(
            {
                name: domain
                for name, domain in space.search.items()
                if not isinstance(domain, Range)  # a space with the grid sampler has none
            }
        )
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)
