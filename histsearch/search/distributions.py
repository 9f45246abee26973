"""A space's parameters as Optuna distributions, so that trials carry real names and values."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.freeze_thaw.parameters import Range as FreezeThawRange
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
    return range_distribution(parameter, whole=known.is_whole(name, parameter.numbers))


def range_distribution(values: Range | FreezeThawRange, *, whole: bool) -> BaseDistribution:
    """The distribution of a range of numbers, whole ones or not."""
    if whole:
        return IntDistribution(
            int(values.low), int(values.high), log=values.log, step=int(values.step or 1)
        )
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)
