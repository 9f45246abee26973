"""Where each value of a configuration comes from."""

from typing import Any

import pytest

from histsearch.reports.full_configuration import full_configuration
from histsearch.space.reading import parse_space

TABLE: dict[str, Any] = {
    "name": "small",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 4,
    "trials": 4,
    "search": {"tau": [4, 8, 16], "lr": {"low": 1e-4, "high": 1e-3, "log": True}},
    "fixed": {"alpha": 1.0},
}


@pytest.mark.parametrize(
    ("configuration", "origins"),
    [
        ({"tau": 8, "lr": 2e-4}, {"tau": "searched", "lr": "searched", "alpha": "fixed"}),
        ({"tau": 24, "lr": 2e-4}, {"tau": "baseline", "lr": "searched", "alpha": "fixed"}),
        ({"tau": 16, "lr": 0.01}, {"tau": "searched", "lr": "baseline", "alpha": "fixed"}),
        ({"tau": 8, "lr": 2e-4, "alpha": 0.9}, {"tau": "searched", "alpha": "baseline"}),
    ],
)
def test_a_value_that_the_search_could_not_try_is_a_baselines(
    configuration: dict[str, Any], origins: dict[str, str]
) -> None:
    space = parse_space(TABLE, source="small.toml")
    found = full_configuration(space, "a configuration", configuration, 4).origins
    assert {name: found[name] for name in origins} == origins
