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
    if parameter.whole:
        return IntDistribution(
            int(parameter.low),
            int(parameter.high),
            log=parameter.log,
            step=int(parameter.step or 1),
        )
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
