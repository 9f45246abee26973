"""A space's domains as Optuna distributions, so that trials carry real names and values."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.space import hyperparameters
from histsearch.space.parameters import Domain, Range
from histsearch.space.space import Space


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """One Optuna distribution for each searched hyperparameter, in the space's order."""
    return {name: _distribution(name, domain) for name, domain in space.search.items()}


def _distribution(name: str, domain: Domain) -> BaseDistribution:
    if not isinstance(domain, Range):
        return CategoricalDistribution(domain)
    if hyperparameters.is_whole(name):
        return IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
