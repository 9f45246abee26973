from itertools import product
from typing import Any

import pytest
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.exceptions import SpaceError, StudyError
from histsearch.space.reading import load_space, parse_space
from histsearch.space.strategies import GridSettings
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.retraining import create_retraining
from histsearch.studies.trial_record import SEED
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
    assert (small.dataset, small.backbone) == ("folder:images_background_small1", "conv4")
    assert list(full.search) == list(small.search)
    for space in (full, small):
        points = 1
        for parameter in space.search.values():
            assert isinstance(parameter, tuple)
            points *= len(parameter)
        assert space.sampler == GridSettings(seeds=5)
        assert space.trials == 5 * points


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


def with_seeds(**changes: Any) -> Any:
    grid = GRID | {"sampler": {"name": "grid", "seeds": 2}, "trials": 12} | changes
    return parse_space(grid, source="test")


def test_each_point_is_trained_once_with_each_seed_one_round_after_another(
    storage: Storage,
) -> None:
    study = create_search(storage, with_seeds(protocol={"seed": 7}))
    taken = []
    while claim := claim_next(study):  # none is told: all run at the same time
        taken.append((tuple(claim.trial.params.values()), claim.seed))
    points = list(product([8, 16, 32], ["cosine", "euclidean"]))
    assert taken == [(point, seed) for seed in (7, 8) for point in points]


def test_seeds_come_after_folds(storage: Storage) -> None:
    study = create_search(
        storage, with_seeds(search={"tau": [8, 16]}, trials=8, protocol={"folds": 2})
    )
    taken = []
    while claim := claim_next(study):
        taken.append((claim.seed, claim.fold, claim.trial.params["tau"]))
    assert taken == sorted(product([0, 1], [0, 1], [8, 16]))


def test_a_trial_that_is_taken_up_again_keeps_its_seed(storage: Storage) -> None:
    study = create_search(storage, with_seeds(search={"tau": [8]}, trials=2))
    first, second = claim_next(study), claim_next(study)
    assert first is not None
    assert second is not None
    first.give_back()
    again = claim_next(study)
    assert again is not None
    assert (again.trial.number, again.seed, second.seed) == (first.trial.number, 0, 1)


def test_a_trial_beyond_the_grid_takes_the_seed_of_one_that_failed(storage: Storage) -> None:
    study = create_search(storage, with_seeds(search={"tau": [8]}, trials=2))
    first, second = claim_next(study), claim_next(study)
    assert first is not None
    assert second is not None
    first.tell(TrialState.COMPLETE, 0.5)
    second.tell(TrialState.FAIL)
    study.enqueue({"tau": 8})
    third = claim_next(study)
    assert third is not None
    assert (first.seed, second.seed, third.seed) == (0, 1, 1)


def test_a_seed_that_failed_is_not_tried_again_before_the_others(storage: Storage) -> None:
    study = create_search(storage, with_seeds(search={"tau": [8]}, trials=2))
    first = claim_next(study)
    assert first is not None
    first.tell(TrialState.FAIL)
    second = claim_next(study)
    assert second is not None
    assert (first.seed, second.seed) == (0, 1)


def test_a_seed_that_the_grid_does_not_have_fails_the_trial_that_carries_it(
    storage: Storage,
) -> None:
    study = create_search(storage, with_seeds())
    study.optuna_study.enqueue_trial({"tau": 8, "distance": "cosine"}, user_attrs={SEED: True})
    claim = claim_next(study)
    assert claim is not None
    assert claim.trial.number == 1
    reason = study.trials()[0].user_attrs["reason"]
    assert reason == "queued from outside: found the seed true, allowed: 0 to 1"


def test_the_best_point_has_the_highest_mean_not_the_luckiest_seed(storage: Storage) -> None:
    study = create_search(storage, with_seeds(search={"tau": [8, 16]}, trials=4))
    scores = {(8, 0): 0.9, (16, 0): 0.8, (8, 1): 0.5, (16, 1): 0.8}
    while claim := claim_next(study):
        score = scores[claim.trial.params["tau"], claim.seed]
        for epoch in (1, 2, 3):
            claim.record({}, {epoch: score})
        claim.tell(TrialState.COMPLETE, score)
    assert study.best()[0].params == {"tau": 16}


def test_a_budget_is_at_most_points_times_seeds() -> None:
    with pytest.raises(
        SpaceError,
        match="trials: found 13, allowed: at most 12, the points of the grid with each of 2 seeds",
    ):
        with_seeds(trials=13)
    with pytest.raises(
        SpaceError, match=r"sampler\.seeds: found 0, allowed: a whole number from 1"
    ):
        with_seeds(sampler={"name": "grid", "seeds": 0})


def test_a_grid_of_one_seed_is_stored_as_earlier_versions_read_it() -> None:
    assert parse_space(GRID, source="test").model_dump(mode="json")["sampler"] == {"name": "grid"}
    assert with_seeds().model_dump(mode="json")["sampler"] == {"name": "grid", "seeds": 2}
