from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from histsearch.search.distributions import optuna_distributions
from histsearch.space.reading import parse_space
from histsearch.space.space import Space


def searching(search: dict[str, Any]) -> Space:
    table = {
        "name": "own",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": 5,
        "trials": 12,
        "search": search,
    }
    return parse_space(table, source="own.toml")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tau", [32, 4, 8.5]),
        ("distance", ["mahalanobis", "cosine"]),
        ("bn_freeze", [True, False]),
        ("batch_size", [64]),
    ],
)
def test_list_becomes_the_real_values_in_their_order(name: str, values: list[Any]) -> None:
    distribution = optuna_distributions(searching({name: values}))[name]
    assert isinstance(distribution, CategoricalDistribution)
    assert distribution.choices == tuple(values)
    assert [type(choice) for choice in distribution.choices] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("batch_size", {"low": 8, "high": 64}, IntDistribution(8, 64)),
        ("batch_size", {"low": 8, "high": 64, "step": 8}, IntDistribution(8, 64, step=8)),
        ("hgnn_hidden", {"low": 64, "high": 512, "log": True}, IntDistribution(64, 512, log=True)),
        ("tau", {"low": 4, "high": 36}, FloatDistribution(4.0, 36.0)),
        ("alpha", {"low": 0.9, "high": 1.2, "step": 0.1}, FloatDistribution(0.9, 1.2, step=0.1)),
        ("lr", {"low": 1e-5, "high": 1e-3, "log": True}, FloatDistribution(1e-5, 1e-3, log=True)),
    ],
)
def test_range_becomes_its_distribution(
    name: str, entry: dict[str, Any], expected: BaseDistribution
) -> None:
    assert optuna_distributions(searching({name: entry})) == {name: expected}


def test_distributions_keep_the_order_of_the_space() -> None:
    space = searching({"tau": [4], "alpha": [1.0], "batch_size": [8], "lambda_s": [1.0]})
    assert list(optuna_distributions(space)) == ["tau", "alpha", "batch_size", "lambda_s"]
