"""How much of a budget is probably trained."""

from typing import Any

import pytest

from histsearch.reports.trained_share import trained_share
from histsearch.space.reading import parse_space
from histsearch.space.space import Space

PRUNERS: dict[str, Any] = {
    "freeze-thaw": {"pruner": "freeze-thaw"},
    "median": {"sampler": "tpe", "pruner": "median"},
    "halving": {"sampler": "random", "pruner": "halving"},
    "hyperband": {"sampler": "tpe", "pruner": "hyperband"},
}


def small(**changes: Any) -> Space:
    table = {"name": "s", "dataset": "glyphs", "backbone": "conv4", "epochs": 10, "trials": 2}
    return parse_space({**table, "search": {"tau": [4, 8]}, **changes}, source="s.toml")


@pytest.mark.parametrize("changes", PRUNERS.values(), ids=list(PRUNERS))
@pytest.mark.parametrize("trials", [1, 12, 1000])
def test_a_search_that_leaves_trials_trains_a_part(changes: dict[str, Any], trials: int) -> None:
    share = trained_share(small(**changes), trials)
    assert 0.2 < share < 1.0 or (share == 1.0 and trials == 1)


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_search_that_leaves_none_trains_all(sampler: str) -> None:
    assert trained_share(small(sampler=sampler, pruner="none"), 2) == 1.0


def test_the_median_spares_the_first_trials() -> None:
    few, many = (trained_share(small(sampler="tpe"), trials) for trials in (6, 200))
    assert few > 0.8
    assert many < 0.45
    spared = {"name": "median", "startup_trials": 100}
    assert trained_share(small(sampler="tpe", pruner=spared), 100) == 1.0


@pytest.mark.parametrize("name", ["freeze-thaw", "halving", "hyperband"])
def test_no_trial_is_left_before_its_fewest_epochs(name: str) -> None:
    sampler = {"freeze-thaw": "freeze-thaw"}.get(name, "random")
    pruner = {"name": name, "min_epochs": 9}
    assert trained_share(small(sampler=sampler, pruner=pruner), 50) == pytest.approx(0.9)


def test_with_a_longer_warmup_than_its_runs_the_median_leaves_none() -> None:
    pruner = {"name": "median", "warmup_epochs": 40}
    assert trained_share(small(sampler="tpe", pruner=pruner), 50) == 1.0
