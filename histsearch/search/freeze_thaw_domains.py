"""Optuna's distributions as the domains of a freeze-thaw search, and back."""

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.domains import Choices, Domain, Range


def space_of(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """The space of some parameters' distributions."""
    return SearchSpace({name: domain(one) for name, one in distributions.items()})


def domain(distribution: BaseDistribution) -> Domain:
    """The values of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return Choices(tuple(distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return Range(
        distribution.low,
        distribution.high,
        distribution.step,
        distribution.log,
        whole=isinstance(distribution, IntDistribution),
    )


def distribution(domain: Domain) -> BaseDistribution:
    """The distribution of a domain's values."""
    if isinstance(domain, Choices):
        return CategoricalDistribution(domain.values)
    if domain.whole:
        return IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
