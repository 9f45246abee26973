from itertools import product
from typing import Any

import pytest
from optuna.pruners import NopPruner

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.space.reading import load_space, parse_space
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.retraining import create_retraining
from tests.integration.claims import claim_next
from tests.integration.studies.small_search import complete_next

GRID: dict[str, Any] = {
    "name": "grid",
    "dataset": "glyphs",
    "backbone": "conv4",
    "epochs": 3,
    "trials": 6,
    "sampler": "grid",
    "search": {"tau": [8, 16, 32], "distance": ["cosine", "euclidean"]},
}


def test_a_grid_is_taken_whole_and_once_whoever_claims(storage: Storage) -> None:
    enqueued = {"tau": 16, "distance": "euclidean"}
    study = create_search(storage, parse_space(GRID | {"enqueue": [enqueued]}, source="test"))
    running = []
    while claim := claim_next(study):  # none is told: all run at the same time
        running.append(claim.trial.params)
    assert running[0] == enqueued
    taken = [(params["tau"], params["distance"]) for params in running]
    assert sorted(taken) == sorted(product([8, 16, 32], ["cosine", "euclidean"]))


def test_no_trial_of_a_grid_is_pruned(storage: Storage) -> None:
    study = create_search(storage, parse_space(GRID, source="test"))
    assert isinstance(study.optuna_study.pruner, NopPruner)


def test_a_grid_has_no_more_trials_than_points(storage: Storage) -> None:
    with pytest.raises(SpaceError, match="trials: found 7, allowed: at most 6"):
        parse_space(GRID | {"trials": 7}, source="test")
    with pytest.raises(StudyError, match="trials: found 7, allowed: at most 6"):
        create_search(storage, parse_space(GRID, source="test"), trials=7)


def test_a_grid_has_lists_only() -> None:
    search = {"lr": {"low": 0.001, "high": 0.1}}
    with pytest.raises(SpaceError, match=r"search\.lr: found 0\.001 to 0\.1, allowed: a list"):
        parse_space(GRID | {"search": search}, source="test")


@pytest.mark.parametrize(
    "name",
    [
        "claim1-batch_size",
        "claim2-hgnn_layers",
        "claim3-alpha",
        "claim4-figure3b-tau-lambda_s",
        "figure3a-embedding_size-hgnn_hidden",
        "table4-distance",
    ],
)
def test_every_claim_is_a_full_grid_in_full_and_in_small(name: str) -> None:
    full, small = load_space(f"claims/{name}"), load_space(f"claims/small/{name}")
    assert (full.dataset, full.backbone, full.epochs) == ("cars196", "resnet50", 50)
    assert (small.dataset, small.backbone) == ("glyphs", "conv4")
    assert list(full.search) == list(small.search)
    for space in (full, small):
        points = 1
        for parameter in space.search.values():
            assert isinstance(parameter, tuple)
            points *= len(parameter)
        assert (space.sampler.name, space.trials) == ("grid", points)


def test_a_grid_is_covered_when_part_of_a_configuration_is_enqueued(storage: Storage) -> None:
    enqueued = [{"distance": "cosine"}, {"distance": "cosine"}]
    study = create_search(storage, parse_space(GRID | {"enqueue": enqueued}, source="test"))
    taken = []
    while claim := claim_next(study):
        taken.append((claim.trial.params["tau"], claim.trial.params["distance"]))
    assert taken[:2] == [(8, "cosine"), (16, "cosine")]
    assert sorted(taken) == sorted(product([8, 16, 32], ["cosine", "euclidean"]))


def test_the_best_of_a_grid_can_be_retrained(storage: Storage) -> None:
    study = create_search(storage, parse_space(GRID, source="test"))
    complete_next(study, 0.5)
    create_retraining(study, seeds=2)
    loaded = find_study(storage, "grid-retrain")
    assert loaded.is_open
    assert claim_next(loaded) is not None
