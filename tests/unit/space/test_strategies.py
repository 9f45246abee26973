from typing import Any

import optuna
import pytest

from histsearch.exceptions import SpaceError
from histsearch.search.freeze_thaw_pruner import FreezeThawPruner
from histsearch.search.freeze_thaw_sampler import FreezeThawSampler
from histsearch.search.grid import GridSampler
from histsearch.search.pruner import build_pruner
from histsearch.search.sampler import build_sampler
from histsearch.space.reading import parse_space
from histsearch.space.space import Decided, Space

SMALL: dict[str, Any] = {
    "name": "own",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 10,
    "trials": 2,
    "search": {"tau": [4, 8], "batch_size": [8, 16]},
}
SAMPLER_FORM = (
    '"freeze-thaw", "tpe", "gp", "grid", "random", or a table {name, ...} of one of them with its '
    "settings"
)


def small(**changes: Any) -> Space:
    return parse_space(SMALL | changes, source="own.toml")


def refusal(**changes: Any) -> str:
    with pytest.raises(SpaceError) as error:
        small(**changes)
    return str(error.value).removeprefix("own.toml: ")


@pytest.mark.parametrize(
    ("sampler", "pruner", "sampler_type", "pruner_type"),
    [
        ("freeze-thaw", None, FreezeThawSampler, FreezeThawPruner),
        ("tpe", None, optuna.samplers.TPESampler, optuna.pruners.MedianPruner),
        ("gp", None, optuna.samplers.GPSampler, optuna.pruners.MedianPruner),
        ("grid", None, GridSampler, optuna.pruners.NopPruner),
        ("random", None, optuna.samplers.RandomSampler, optuna.pruners.NopPruner),
        ("freeze-thaw", "none", FreezeThawSampler, optuna.pruners.NopPruner),
        ("tpe", "hyperband", optuna.samplers.TPESampler, optuna.pruners.HyperbandPruner),
        ("gp", "halving", optuna.samplers.GPSampler, optuna.pruners.SuccessiveHalvingPruner),
        ({"name": "tpe", "startup_trials": 5}, {"name": "median", "warmup_epochs": 3},
         optuna.samplers.TPESampler, optuna.pruners.MedianPruner),
    ],
)  # fmt: skip
def test_every_strategy_is_built(
    sampler: object, pruner: object, sampler_type: type, pruner_type: type
) -> None:
    space = small(sampler=sampler, **({} if pruner is None else {"pruner": pruner}))
    assert isinstance(build_sampler(space, 0), sampler_type)
    assert isinstance(build_pruner(space, lambda: True), pruner_type)
    assert Space.model_validate(space.model_dump(mode="json")) == space


def test_the_projects_own_is_the_default() -> None:
    assert (small().sampler.name, small().pruner.name) == ("freeze-thaw", "freeze-thaw")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sampler": "best"}, f'sampler: found "best", allowed: {SAMPLER_FORM}'),
        (
            {"sampler": {"startup_trials": 3}},
            f"sampler: found {{startup_trials = 3}}, allowed: {SAMPLER_FORM}",
        ),
        (
            {"sampler": {"name": "tpe", "startup_trials": 0}},
            "sampler.startup_trials: found 0, allowed: a whole number from 1 to 100000",
        ),
        (
            {"sampler": {"name": "tpe", "start": 1}},
            'sampler: found "start", allowed: a table of name, startup_trials, multivariate',
        ),
        (
            {"pruner": {"name": "freeze-thaw", "min_epochs": 1.5}},
            "pruner.min_epochs: found 1.5, allowed: a whole number from 1 to 10000",
        ),
        (
            {"sampler": "grid", "pruner": "median"},
            'pruner: found "median", allowed: "none", as the sampler is a grid',
        ),
        (
            {"sampler": "tpe", "pruner": "freeze-thaw"},
            'pruner: found "freeze-thaw", allowed: another pruner, as the sampler is "tpe"',
        ),
        (
            {"sampler": "tpe", "decided": {"delta": 1, "epsilon": 0.1}},
            "decided: found {delta = 1.0, epsilon = 0.1}, "
            'allowed: with the sampler "freeze-thaw" alone, not "tpe"',
        ),
        ({"gpu_hours": 0}, "gpu_hours: found 0, allowed: a number > 0, or false"),
        ({"gpu_hours": True}, "gpu_hours: found true, allowed: a number > 0, or false"),
        (
            {"epochs": 4, "pruner": {"name": "freeze-thaw", "min_epochs": 5}},
            "pruner.min_epochs: found 5, allowed: a whole number from 1 to epochs, 4",
        ),
        (
            {"epochs": 4, "sampler": "tpe", "pruner": {"name": "halving", "min_epochs": 5}},
            "pruner.min_epochs: found 5, allowed: a whole number from 1 to epochs, 4",
        ),
        (
            {"decided": {"delta": True}},
            "decided.delta: found true, allowed: a number > 0 (points of the objective)",
        ),
        (
            {"decided": {"epsilon": 1}},
            "decided.epsilon: found 1, allowed: a number between 0 and 1",
        ),
        ({"decided": {"sure": 1}}, "decided.sure: found an unknown key, allowed: delta, epsilon"),
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert refusal(**changes) == expected


def test_ends_are_read() -> None:
    space = small(gpu_hours=2, decided={"delta": 0.3})
    assert space.gpu_hours == 2.0
    assert space.decided == Decided(delta=0.3, epsilon=0.05)


def test_a_grid_is_gone_through_without_listing_it() -> None:
    values = list(range(1000))
    grid = dict.fromkeys(("lambda_s", "alpha", "tau", "batch_size"), values)
    study = optuna.create_study(direction="maximize", sampler=GridSampler(grid))
    study.enqueue_trial({"alpha": 7})
    taken = [study.ask() for _ in range(3)]
    found = [{name: trial.suggest_categorical(name, values) for name in grid} for trial in taken]
    first = dict.fromkeys(grid, 0)
    assert found == [{**first, "alpha": 7}, first, {**first, "batch_size": 1}]
