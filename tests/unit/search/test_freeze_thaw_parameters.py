"""Optuna's distributions as parameters of the freeze-thaw search."""

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.search.freeze_thaw_parameters import distribution, parameter

DISTRIBUTIONS = [
    CategoricalDistribution((32, 4.5, True)),
    CategoricalDistribution(("adam", "adamw")),
    FloatDistribution(1e-5, 1e-2, log=True),
    FloatDistribution(0.1, 0.9, step=0.1),
    FloatDistribution(4, 36),
    IntDistribution(8, 64, step=8),
    IntDistribution(64, 512, log=True),
]


@pytest.mark.parametrize("one", DISTRIBUTIONS)
def test_a_distribution_is_the_same_again(one: BaseDistribution) -> None:
    again = distribution(parameter(one))
    assert again == one
    assert repr(again) == repr(one)


@pytest.mark.parametrize("one", DISTRIBUTIONS)
def test_a_parameter_holds_what_its_distribution_does(one: BaseDistribution) -> None:
    for value in (4, 4.5, 8, 8.0, 12, 64, 0.3, 0.1 + 0.2, 0.35, 1e-3, -1.0, float("nan"), "adam"):
        try:
            contained = one._contains(one.to_internal_repr(value))
        except ValueError:
            contained = False
        assert parameter(one).holds(value) == contained
