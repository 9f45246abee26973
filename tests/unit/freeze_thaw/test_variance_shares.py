"""Which parameters matter, against functions whose shares are known."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from histsearch.freeze_thaw.candidates import SearchSpace
from histsearch.freeze_thaw.curve_basis import PARTS
from histsearch.freeze_thaw.curve_model import CurveModel
from histsearch.freeze_thaw.parameters import Choices, Range
from histsearch.freeze_thaw.posterior import Posterior
from histsearch.freeze_thaw.search import FreezeThawSearch
from histsearch.freeze_thaw.trials import Trial
from histsearch.freeze_thaw.variance_shares import Effects, VarianceShare
from tests.unit.freeze_thaw.small_model import (
    DISTANCES,
    EPOCHS,
    PLACES,
    model,
    some_curves,
    some_settings,
)

FIRST, SECOND, THIRD = (-1.0, 0.0, 1.0), (-1.5, -0.5, 0.5, 1.5), (-1.0, 1.0)
GRID = SearchSpace({"a": Choices(FIRST), "b": Choices(SECOND), "c": Choices(THIRD)})


def search(score: Callable[[float, float, float], float]) -> FreezeThawSearch:
    """A search that has seen the whole grid, hardly with luck."""
    rng = np.random.default_rng(1)
    trials = [
        Trial(
            {"a": a, "b": b, "c": c},
            tuple(60.0 + score(a, b, c) - 4.0 / epoch + 0.1 * rng.normal() for epoch in (1, 2, 3)),
        )
        for a, b, c in product(FIRST, SECOND, THIRD)
    ]
    found = FreezeThawSearch(GRID, 3, trials)
    for _ in range(3):
        found.planner.fit_to(found.views)
    return found


def shares(found: FreezeThawSearch) -> dict[tuple[int, ...], VarianceShare]:
    every = found.variance_shares(np.random.default_rng(0))
    return {one.parameters: one for one in every}


def test_an_additive_function_has_the_shares_of_its_terms() -> None:
    found = shares(search(lambda a, b, _: 4.0 * a + 2.0 * b))
    of_a, of_b = 16.0 * np.var(FIRST), 4.0 * np.var(SECOND)
    assert found[0,].share == pytest.approx(of_a / (of_a + of_b), abs=0.03)
    assert found[1,].share == pytest.approx(of_b / (of_a + of_b), abs=0.03)
    assert found[2,].share < 0.02
    assert all(one.share < 0.02 for key, one in found.items() if len(key) == 2)
    assert sum(one.share for one in found.values()) == pytest.approx(1.0)
    assert all(0.0 <= one.low <= one.share <= one.high <= 1.0 for one in found.values())


def test_an_interaction_is_the_pairs_and_main_effects_are_their_parameters() -> None:
    found = shares(search(lambda a, b, c: 2.0 * a + 2.0 * b + 3.0 * a * b + 1.0 * c))
    of = {
        (0,): 4.0 * np.var(FIRST),
        (1,): 4.0 * np.var(SECOND),
        (0, 1): 9.0 * np.var(FIRST) * np.var(SECOND),
        (2,): np.var(THIRD),
    }
    for effect, one in found.items():
        assert one.share == pytest.approx(of.get(effect, 0.0) / sum(of.values()), abs=0.05)
    assert max((one for one in found if len(one) == 2), key=lambda one: found[one].share) == (0, 1)


def test_what_is_hardly_known_has_a_wide_interval() -> None:
    whole = search(lambda a, b, _: 4.0 * a + 2.0 * b)
    few = FreezeThawSearch(
        GRID,
        3,
        [Trial({"a": a, "b": 0.5, "c": 1.0}, (60.0 + 4.0 * a,)) for a in FIRST],
    )
    sure, unsure = shares(whole)[1,], shares(few)[1,]
    assert unsure.high - unsure.low > 4.0 * (sure.high - sure.low)


def test_before_three_configurations_ran_nothing_is_said() -> None:
    trials = [Trial({"a": a, "b": 0.5, "c": 1.0}, (60.0,)) for a in FIRST[:2]]
    found = FreezeThawSearch(GRID, 3, [*trials, Trial({"a": 1.0, "b": 0.5, "c": 1.0})])
    assert found.variance_shares(np.random.default_rng(0)) == []


def test_ranges_of_numbers_count_by_their_scale() -> None:
    space = SearchSpace({"lr": Range(1e-4, 1e-1, log=True), "wide": Range(0.0, 1.0)})
    rng = np.random.default_rng(2)
    trials = []
    for _ in range(40):
        lr, wide = float(10 ** rng.uniform(-4, -1)), float(rng.uniform())
        score = 70.0 + 2.0 * np.log10(lr) + 0.1 * rng.normal()
        trials.append(Trial({"lr": lr, "wide": wide}, (score - 1.0, score)))
    found = FreezeThawSearch(space, 2, trials)
    found.planner.fit_to(found.views)
    assert shares(found)[0,].low > 0.9


def pairwise(earlier: int) -> np.ndarray:
    """What so many earlier studies expect, by effects of parameters and of pairs, as they do."""
    expected_KGB = np.zeros((earlier, len(PLACES), PARTS))
    for number, expected_GB in enumerate(expected_KGB):
        expected_GB[:, 0] = 2.0 * PLACES[:, number] + PLACES[:, 1] * np.cos(PLACES[:, 2]) - 3.0
    return expected_KGB


@pytest.mark.parametrize("earlier", [0, 2])
def test_draws_have_the_posteriors_mean_and_spread(earlier: int) -> None:
    one = CurveModel(PLACES, DISTANCES, EPOCHS, pairwise(earlier))
    one.settings = some_settings(3, earlier)
    curves = some_curves(4)
    posterior = Posterior(one, curves, ())
    effects = Effects(one)
    weights_WX = effects.draw(posterior, 4000, np.random.default_rng(5))
    f_GX = effects.design(PLACES) @ weights_WX
    f_GX -= f_GX[0]
    expected_G = posterior.mean_G - posterior.mean_G[0]
    spread_G = posterior.deviations_from(0)
    away_G = np.abs(f_GX.mean(axis=1) - expected_G)
    assert (away_G[1:] < 5.0 * spread_G[1:] / np.sqrt(4000) + 0.05).all()
    assert f_GX.std(axis=1)[1:] == pytest.approx(spread_G[1:], rel=0.15)


def test_the_features_are_those_of_the_kernel() -> None:
    one = model()
    one.settings = some_settings(3)
    design = Effects(one).design(PLACES)
    every = np.arange(len(PLACES))
    assert design @ design.T == pytest.approx(
        one.kernel.covariance(one.settings, every, every), rel=1e-2, abs=1e-2
    )


def test_variances_are_those_over_the_whole_grid() -> None:
    one = model()
    one.settings = some_settings(3)
    effects = Effects(one)
    design = effects.design(PLACES)
    weights_WX = np.random.default_rng(0).normal(size=(design.shape[1], 5))
    f_GX = design @ weights_WX
    variance_CX = effects.variances(weights_WX)
    assert variance_CX.sum(axis=0) == pytest.approx(f_GX.var(axis=0))
    first_PX = np.array([f_GX[PLACES[:, 0] == place].mean(axis=0) for place in range(3)])
    assert variance_CX[0] == pytest.approx(first_PX.var(axis=0))
