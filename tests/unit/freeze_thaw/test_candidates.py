import numpy as np
import pytest

from histsearch.freeze_thaw.candidates import MOST, SearchSpace
from histsearch.freeze_thaw.parameters import Choices, Range

RNG = np.random.default_rng(0)


def test_a_small_finite_space_is_listed_whole_and_in_order() -> None:
    space = SearchSpace(
        {
            "tau": Choices((32, 8, 16)),
            "batch_size": Range(16, 48, step=16, whole=True),
            "optimizer": Choices(("adam", "adamw")),
        }
    )
    candidates = space.candidates((), (), RNG)
    assert len(candidates.configurations) == 3 * 3 * 2
    assert candidates.configurations[0] == {"tau": 8, "batch_size": 16, "optimizer": "adam"}
    row = candidates.row({"tau": 32, "batch_size": 48, "optimizer": "adamw"})
    assert row == len(candidates.configurations) - 1
    assert candidates.row({"tau": 7, "batch_size": 48, "optimizer": "adam"}) is None


def test_numbers_are_as_far_apart_as_their_places_and_words_all_alike() -> None:
    space = SearchSpace(
        {
            "lr": Choices((1e-4, 1e-2, 1e-3)),
            "distance": Choices(("cosine", "euclidean", "manhattan")),
            "alpha": Range(1.0, 100.0, log=True),
        }
    )
    lr, distance, alpha = space.distances_D
    np.testing.assert_allclose(lr, [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])
    np.testing.assert_allclose(distance, 1 - np.eye(3))
    first, middle, last = space.places(
        [{"lr": 1e-4, "distance": "cosine", "alpha": value} for value in (1.0, 10.0, 100.0)]
    )[:, 2]
    assert alpha[first, middle] == pytest.approx(alpha[middle, last]) == pytest.approx(0.5)


def test_of_a_large_space_what_was_tried_and_a_draw_is_looked_at() -> None:
    space = SearchSpace(
        {
            "lr": Range(1e-5, 1e-2, log=True),
            "alpha": Range(0.5, 1.5, step=0.25),
            "batch_size": Range(8, 64, step=1, whole=True),
            "bn_freeze": Choices((True, False)),
        }
    )
    tried = {"lr": 1e-3, "alpha": 0.75, "batch_size": 20, "bn_freeze": True}
    candidates = space.candidates([tried], [tried], np.random.default_rng(0))
    assert candidates.row(tried) == 0
    assert MOST / 2 < len(candidates.configurations) <= MOST
    assert all(space.holds(one) for one in candidates.configurations)
    assert {one["alpha"] for one in candidates.configurations} == {0.5, 0.75, 1.0, 1.25, 1.5}
    near = [one for one in candidates.configurations if one["lr"] == 1e-3]
    assert len(near) > 50, "the best configuration has neighbours"
    again = space.candidates([tried], [tried], np.random.default_rng(0))
    assert again.configurations == candidates.configurations


def test_every_value_of_a_range_in_steps_is_there_once() -> None:
    space = SearchSpace(
        {
            "batch_size": Range(8, 64, step=1, log=True, whole=True),
            "alpha": Range(0.1, 0.9, step=0.1),
        }
    )
    candidates = space.candidates((), (), RNG)
    assert len(candidates.configurations) == 57 * 9
    assert candidates.row({"batch_size": 55, "alpha": 0.3}) is not None
    other_rounding = {"batch_size": 8, "alpha": 0.1 + 0.2}
    assert space.candidates([other_rounding], (), RNG).row(other_rounding) is not None


def test_what_is_outside_a_parameter_is_not_held() -> None:
    space = SearchSpace({"tau": Choices((4, 8)), "lr": Range(1e-4, 1e-2)})
    assert space.holds({"tau": 8, "lr": 1e-3, "alpha": 0.9})
    for changed in ({"tau": 16}, {"lr": 1.0}, {"lr": "high"}):
        assert not space.holds({"tau": 8, "lr": 1e-3, **changed})
    assert not space.holds({"tau": 8})


def test_values_in_steps_stay_within_the_range() -> None:
    low, high = 0.7853981633974483, 1.5707963267948966
    space = SearchSpace({"alpha": Range(low, high, step=low)})
    values = [one["alpha"] for one in space.candidates((), (), RNG).configurations]
    assert values == [low, high]
    tenths = SearchSpace({"alpha": Range(0.1, 0.4, step=0.1)})
    values = [one["alpha"] for one in tenths.candidates((), (), RNG).configurations]
    assert values == [0.1, 0.2, 0.3, 0.4]


def test_a_large_space_is_drawn_from_however_many_were_tried() -> None:
    space = SearchSpace({"lr": Range(1e-5, 1e-1, log=True)})
    tried = [{"lr": float(value)} for value in np.geomspace(1e-5, 1e-1, MOST + 100)]
    candidates = space.candidates(tried, tried[:1], RNG).configurations
    assert all(one in candidates for one in tried)
    assert len(candidates) > len(tried) + MOST // 4


def test_the_chance_of_running_is_that_of_the_riskiest_value() -> None:
    space = SearchSpace(
        {
            "batch_size": Choices((16, 32, 64)),
            "tau": Choices((4, 8)),
        }
    )
    candidates = space.candidates((), (), np.random.default_rng(0))
    row = {tuple(one.values()): row for row, one in enumerate(candidates.configurations)}
    chances = candidates.chances_of_running(
        [row[16, 4], row[32, 8]], [row[64, 4], row[64, 4], row[64, 8]]
    )
    assert chances[row[64, 8]] == chances[row[64, 4]] == 1 / 4
    assert chances[row[16, 4]] == chances[row[32, 4]] == 2 / 4, "of two with tau 4 that failed"
    assert chances[row[16, 8]] == 2 / 3


def test_failures_in_a_range_speak_for_what_is_near() -> None:
    space = SearchSpace({"lr": Range(0.0, 1.0)})
    tried = [{"lr": value} for value in (0.1, 0.5, 0.9, 0.92, 0.94)]
    wanted = [{"lr": 0.93}, {"lr": 0.3}]
    candidates = space.candidates([*tried, *wanted], (), np.random.default_rng(0))
    rows = [candidates.row(one) for one in tried]
    known = [one for one in rows if one is not None]
    near, far = (candidates.row(one) for one in wanted)
    chances = candidates.chances_of_running(known[:2], known[2:])
    assert chances[near] < 0.3
    assert chances[far] > 0.9
