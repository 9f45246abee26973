"""How many epochs a retraining trains its configurations for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.space.configuration import Value
from histsearch.studies.catalog import create_search
from histsearch.studies.chosen_configurations import chosen_configurations
from histsearch.studies.retraining import create_retraining
from histsearch.studies.retraining_warnings import retraining_warnings
from histsearch.studies.study import Study
from tests.integration.claims import claimed
from tests.integration.studies.small_search import ENQUEUED, complete_with, small_space

RISING = (0.36, 0.38, 0.395, 0.40)
LUCKY = (0.43, 0.38, 0.395, 0.41)
OVERFITTING = (0.60, 0.68, 0.72, 0.70, 0.66, 0.60)

Curve = Sequence[float]


def search_with(storage: Storage, curves: Sequence[tuple[int, Curve]], **changes: Any) -> Study:
    """A search whose trials, of the given batch sizes, showed the given curves."""
    enqueued = [{**ENQUEUED, "batch_size": size} for size, _ in curves]
    space = small_space(
        enqueue=enqueued,
        trials=len(curves),
        epochs=max(len(curve) for _, curve in curves),
        **changes,
    )
    study = create_search(storage, space)
    for _, curve in curves:
        complete_with(study, dict(enumerate(curve, start=1)))
    return study


def lengths(retraining: Study) -> dict[Value, int]:
    """Epochs by batch size."""
    return {one.params["batch_size"]: one.epochs for one in chosen_configurations(retraining)}


def varied(curve: Curve, by: float, seed: int) -> Curve:
    noise = np.random.default_rng(seed).normal(scale=by, size=len(curve))
    return tuple((curve + noise).tolist())


def test_a_lucky_first_epoch_sets_no_length(storage: Storage) -> None:
    others = [(size, varied(RISING, 0.01, seed)) for seed, size in enumerate((16, 32) * 3)]
    search = search_with(storage, [(16, RISING), (8, LUCKY), *others])
    assert search.best()[0].number == 1
    retraining = create_retraining(search, baselines=["first"])
    assert lengths(retraining) == {8: 4, 16: 4}
    assert retraining_warnings(search, retraining) == []


def test_nor_does_it_in_a_curve_that_stands_alone(storage: Storage) -> None:
    search = search_with(storage, [(8, (0.43, 0.40, 0.41, 0.40))])
    assert lengths(create_retraining(search)) == {8: 4}


@pytest.mark.parametrize("sampler", ["tpe", "freeze-thaw"])
def test_overfitting_is_cut_and_each_configuration_has_its_own_length(
    storage: Storage, sampler: str
) -> None:
    rising = (0.55, 0.60, 0.63, 0.65, 0.665, 0.67)
    curves = [(32, varied(rising, 0.005, 9))]
    for seed in range(3):
        curves += [(8, varied(OVERFITTING, 0.005, seed)), (32, varied(rising, 0.005, seed + 3))]
    lists = {"alpha": [0.9], "lr": [0.0001], "batch_size": [8, 16, 32]}
    search = search_with(storage, curves, sampler=sampler, search=lists)
    # TPE's best is the one with the highest epoch, freeze-thaw's the one with the best last epoch.
    best = {"tpe": 8, "freeze-thaw": 32}[sampler]
    assert search.best()[0].params["batch_size"] == best
    assert lengths(create_retraining(search, top=2)) == {8: 3, 32: 6}
    if sampler == "tpe":
        retraining = create_retraining(search, name="against", baselines=["first"])
        assert lengths(retraining) == {8: 3, 32: 3}, "a baseline has the winner's length"


def test_a_plateau_is_trained_to_its_end(storage: Storage) -> None:
    search = search_with(storage, [(8, (1.0, 1.0, 1.0))])
    retraining = create_retraining(search)
    assert lengths(retraining) == {8: 3}
    (warning,) = retraining_warnings(search, retraining)
    assert warning.startswith("tuned #0 of small-retrain reached R@1 100.0% in the search")


def test_a_single_epoch_is_warned_of(storage: Storage) -> None:
    falling = (0.60, 0.50, 0.42, 0.36)
    search = search_with(
        storage, [(size, varied(falling, 0.005, seed)) for seed, size in enumerate((8, 8, 16, 32))]
    )
    retraining = create_retraining(search)
    assert list(lengths(retraining).values()) == [1]
    (warning,) = retraining_warnings(search, retraining)
    assert "of small-retrain is trained for 1 epoch of 4, as its mean curve falls" in warning


def test_a_baseline_that_was_pruned_has_the_length_of_the_winner(storage: Storage) -> None:
    space = small_space(enqueue=[{**ENQUEUED, "batch_size": 16}], trials=4, epochs=4)
    search = create_search(storage, space)
    pruned = claimed(search)
    pruned.record({}, {1: 0.2})
    pruned.tell(TrialState.PRUNED)
    for seed in range(3):
        complete_with(search, dict(enumerate(varied(RISING, 0.005, seed), start=1)))
    retraining = create_retraining(search, baselines=["first"])
    assert [one.epochs for one in chosen_configurations(retraining)] == [4, 4]
