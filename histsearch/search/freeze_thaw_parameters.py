"""Optuna's distributions as the parameters of a freeze-thaw search, and back."""

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.parameters import Choices, Parameter, Range
from histsearch.search.distributions import range_distribution


def space_of(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """The space of some parameters' distributions."""
    return SearchSpace({name: parameter(one) for name, one in distributions.items()})


def parameter(distribution: BaseDistribution) -> Parameter:
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


def distribution(parameter: Parameter) -> BaseDistribution:
    """The distribution of a parameter's values."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.values)
    return range_distribution(parameter, whole=parameter.whole)
