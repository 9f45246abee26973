"""A space's parameters as Optuna distributions, so that trials carry real names and values."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.space.known_parameters import KnownParameters
from histsearch.space.parameters import Parameter, Range
from histsearch.space.trained_space import TrainedSpace


def optuna_distributions(space: TrainedSpace) -> dict[str, BaseDistribution]:
    """One Optuna distribution for each searched parameter, in the space's order."""
    return {
        name: _distribution(name, parameter, space.parameters)
        for name, parameter in space.search.items()
    }


def _distribution(name: str, parameter: Parameter, known: KnownParameters) -> BaseDistribution:
    if not isinstance(parameter, Range):
        return CategoricalDistribution(parameter)
    if known.is_whole(name, parameter.numbers):
        return IntDistribution(
            int(parameter.low),
            int(parameter.high),
            log=parameter.log,
            step=int(parameter.step or 1),
        )
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
