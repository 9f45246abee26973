"""Baselines: named in a space, retrained beside the winner, compared in the report."""

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import URL

from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.reports.collect import build_report
from histsearch.studies.catalog import create_search, find_study
from histsearch.studies.chosen_configurations import chosen_configurations
from histsearch.studies.retraining import create_retraining
from histsearch.studies.retraining_seeds import FIRST_SEED, add_seeds
from histsearch.studies.retraining_warnings import retraining_warnings
from histsearch.studies.study import Study
from histsearch.studies.trial_models import retrained_models
from histsearch.studies.trial_record import BASELINE_NAME, RECALL, SOURCE_TRIAL
from tests.integration.claims import claim_next, claimed
from tests.integration.studies.small_search import ENQUEUED, complete_next, small_space

BETTER = {**ENQUEUED, "batch_size": 32}
AUTHORS = {"name": "authors", "alpha": 1.5, "lr": 0.0003}
OTHER_OPTIMIZER = {"name": "adamw", **ENQUEUED, "optimizer": "adamw", "epochs": 25}


@pytest.fixture
def search(storage: Storage) -> Study:
    """The first configuration and a better one; two baselines that it never runs."""
    space = small_space(
        enqueue=[ENQUEUED, BETTER],
        trials=2,
        baseline=[AUTHORS, OTHER_OPTIMIZER, {"name": "again", **BETTER}],
        fixed={"optimizer": "adam"},
    )
    study = create_search(storage, space)
    for value in (0.5, 0.6):
        complete_next(study, value, best_epoch=7)
    return study


def run_all(retraining: Study, scores: dict[str, float]) -> None:
    """Give each run that waits the figure of its baseline, of tuned ones that of ""."""
    while (claim := claim_next(retraining)) is not None:
        name = claim.trial.user_attrs.get(BASELINE_NAME, "")
        recall = scores[name] + 0.001 * (claim.seed % 3)
        claim.record({RECALL: {"1": recall}})
        claim.tell(TrialState.COMPLETE, recall)


def configurations(retraining: Study) -> dict[str, dict[str, Any]]:
    return {one.label: dict(one.params) for one in chosen_configurations(retraining)}


def test_a_baseline_may_leave_the_lists_of_the_search(search: Study, database: URL) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["authors"])
    assert configurations(retraining) == {
        "tuned #1": BETTER,
        "baseline authors": {"alpha": 1.5, "lr": 0.0003, "batch_size": 32},
    }
    run_all(retraining, {"": 0.6, "authors": 0.5})
    url = database.render_as_string(hide_password=False)
    plain = optuna.load_study(study_name="small-retrain", storage=url)
    assert plain.trials[1].params == {"alpha": 1.5, "lr": 0.0003, "batch_size": 32, "seed": 10**6}
    assert SOURCE_TRIAL not in plain.trials[1].user_attrs
    assert [model.label for model in retrained_models(retraining)] == [
        "tuned #1",
        "baseline authors",
    ]
    assert str(retrained_models(retraining)[1]).startswith(
        f"small-retrain/1: baseline authors, seed {FIRST_SEED}: "
    )
    assert retraining_warnings(search, retraining) == []


def test_a_baseline_may_set_what_the_search_fixes(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["adamw", "first"])
    tuned, adamw, first = chosen_configurations(retraining)
    assert tuned.params == {**BETTER, "optimizer": "adam"}
    assert (adamw.label, adamw.params, adamw.epochs) == (
        "baseline adamw",
        {**ENQUEUED, "optimizer": "adamw"},
        25,
    )
    assert (first.label, first.params) == (
        "baseline first #0",
        {**ENQUEUED, "optimizer": "adam"},
    )
    read = find_study(search.storage, "small-retrain").definition.space
    assert read.search["optimizer"] == ("adam", "adamw")
    assert "optimizer" not in read.fixed
    runs = [claimed(retraining).configuration for _ in range(3)]
    completed = [read.complete(values).training.optimizer for values in runs]
    assert completed == ["adam", "adamw", "adam"]


def test_a_baseline_without_epochs_is_trained_for_the_winners(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["authors", "adamw"])
    tuned, authors, adamw = (one.epochs for one in chosen_configurations(retraining))
    assert (authors, adamw) == (tuned, 25)
    assert tuned < 10


def test_a_baseline_that_is_chosen_anyway_is_trained_once(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["again", "authors", "again"])
    assert list(configurations(retraining)) == [
        "tuned #1 (baseline again)",
        "baseline authors",
    ]
    more = create_retraining(search, name="more", top=2, seeds=1, baselines=["first", "again"])
    assert list(configurations(more)) == [
        "tuned #1 (baseline again)",
        "tuned #0 (baseline first)",
    ]


def test_equal_baselines_of_different_lengths_are_two(storage: Storage) -> None:
    short, twin = ({**AUTHORS, "name": name, "epochs": 2} for name in ("short", "twin"))
    space = small_space(enqueue=[ENQUEUED], trials=1, baseline=[AUTHORS, short, twin])
    search = create_search(storage, space)
    complete_next(search, 0.5, best_epoch=7)
    retraining = create_retraining(search, seeds=1, baselines=["authors", "short", "twin"])
    assert list(configurations(retraining)) == [
        "tuned #0",
        "baseline authors",
        "baseline short (baseline twin)",
    ]


def test_seeds_are_added_to_baselines_as_well(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["authors", "adamw"])
    before = chosen_configurations(retraining)
    add_seeds(search, retraining, 2)
    assert retraining.count() == 9
    assert chosen_configurations(retraining) == before


def test_values_that_clash_across_configurations_are_refused(storage: Storage) -> None:
    balanced = {"name": "balanced", "batch_size": 30, "images_per_class": 5}
    space = small_space(enqueue=[ENQUEUED], trials=1, baseline=[balanced])
    search = create_search(storage, space)
    complete_next(search, 0.5, best_epoch=7)
    with pytest.raises(
        StudyError, match=r"can't stand in one retraining \(images_per_class: found"
    ):
        create_retraining(search, baselines=["balanced"])


def test_every_comparison_that_was_asked_for_is_in_the_report(search: Study) -> None:
    retraining = create_retraining(search, top=2, baselines=["authors", "adamw"])
    assert retraining.budget == 20
    run_all(retraining, {"": 0.7, "authors": 0.6, "adamw": 0.7})
    report = build_report(search.storage, "small")
    assert [(one.first, one.second, one.verdict) for one in report.comparisons] == [
        ("tuned #1", "baseline authors", "better"),
        ("tuned #1", "baseline adamw", "equivalent"),
        ("tuned #0", "baseline authors", "better"),
        ("tuned #0", "baseline adamw", "equivalent"),
        ("tuned #1", "tuned #0", "equivalent"),
    ]
    lucks = [one.luck for one in report.comparisons]
    assert lucks[:4] == [None] * 4, "the search ran none of the baselines"
    assert lucks[4] is not None
    assert lucks[4].validation_gain == pytest.approx(0.1)
    assert lucks[4].test_gain == pytest.approx(0.0)
    assert [one.correlation for one in report.comparisons] == [pytest.approx(1.0)] * 5
    assert {one.baselines for one in report.retrained} == {(), ("authors",), ("adamw",)}


def test_a_winner_that_is_a_baseline_is_said_to_be_one(storage: Storage) -> None:
    space = small_space(enqueue=[ENQUEUED], trials=1, baseline=[{"name": "usual", **ENQUEUED}])
    search = create_search(storage, space)
    complete_next(search, 0.5, best_epoch=7)
    assert build_report(storage, "small").baselines_of_winner == ["first", "usual"]
    other = create_search(
        storage,
        small_space(enqueue=[], trials=1, baseline=[{"name": "usual", **ENQUEUED}]),
        name="other",
    )
    other.enqueue(ENQUEUED)
    complete_next(other, 0.5, best_epoch=7)
    assert build_report(storage, "other").baselines_of_winner == ["usual"]


def test_delta_is_that_of_the_search_and_its_selection_is_said(storage: Storage) -> None:
    space = small_space(
        enqueue=[ENQUEUED, BETTER],
        trials=2,
        sampler="freeze-thaw",
        decided={"delta": 2.0},
        protocol={"validation": "test"},
    )
    search = create_search(storage, space)
    for value in (0.5, 0.6):
        complete_next(search, value, best_epoch=7)
    run_all(create_retraining(search, baselines=["first"]), {"": 0.7, "first": 0.69})
    (comparison,) = build_report(storage, "small").comparisons
    assert comparison.delta == 0.02
    assert "yet the two are equivalent within 2 points" in comparison.sentence
    assert comparison.sentence.endswith("Selected on the test classes: no fair estimate.")


def test_a_retraining_of_an_earlier_version_has_the_first_as_its_baseline(search: Study) -> None:
    retraining = create_retraining(search, seeds=1, baselines=["first"])
    trial = retraining.trials()[1]
    storage = search.storage.optuna
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM trial_user_attributes WHERE trial_id = %(trial)s AND key = %(key)s",
            {"trial": trial._trial_id, "key": BASELINE_NAME},
        )
    fresh = find_study(Storage(search.storage.url), "small-retrain")
    assert [one.label for one in chosen_configurations(fresh)] == ["tuned #1", "baseline first #0"]
