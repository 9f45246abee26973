from dataclasses import replace

import pytest
from optuna.trial import TrialState

from histsearch.data.census import Census, Part
from histsearch.database.storage import Storage
from histsearch.exceptions import StudyError
from histsearch.reports.collect import build_report
from histsearch.reports.report import WinningTrial
from histsearch.reports.statistics import Estimate, FractionEstimate
from histsearch.reports.winner import winning_trial
from histsearch.space.reading import load_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.definition import HELD_OUT_SELECTION, TEST_SELECTION
from histsearch.studies.images import note_census
from histsearch.studies.queue import claim
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from tests.integration.claims import claimed, signed_on, tell

SPACE = "cars196-resnet50"
RETRAINING = f"{SPACE}-retrain"
BASELINE = {"lambda_s": 0.8, "alpha": 0.9, "tau": 32, "batch_size": 32}
TUNED = {"lambda_s": 1.2, "alpha": 1.0, "tau": 24, "batch_size": 16}

# Quantiles of Student's t at 97.5% for 2 and 4 degrees of freedom, from printed tables.
T_2, T_4 = 4.3027, 2.7764


def _tell_recall(retraining: Study, recall_at_1: float, recall_at_2: float) -> None:
    recall = {"1": recall_at_1, "2": recall_at_2}
    tell(retraining, recall_at_1, recall=recall, seconds=900, device="H200", accelerated=True)


@pytest.fixture
def search(storage: Storage) -> Study:
    """Baseline, a better configuration, and one given up after 5 of 50 epochs."""
    study = create_search(storage, load_space(SPACE), trials=3)
    tell(study, 0.85, best_epoch=44, seconds=7200, device="H200", accelerated=True)
    study.enqueue(TUNED)
    tell(
        study,
        0.875,
        curve={
            epoch: 0.7975 + 0.0025 * epoch - 0.01 * max(0, epoch - 31) for epoch in range(1, 51)
        },
        best_epoch=31,
        seconds=5400,
        device="V100",
        accelerated=True,
    )
    tell(study, None, TrialState.PRUNED, seconds=600, epoch_seconds=[100.0] * 5, accelerated=True)
    return study


@pytest.fixture
def retraining(search: Study) -> Study:
    """Three seeds of the best configuration and of the baseline."""
    study = create_retraining(search, seeds=3, baselines=["first"])
    for recall_at_1, recall_at_2 in [(0.90, 0.95), (0.91, 0.95), (0.92, 0.95)]:
        _tell_recall(study, recall_at_1, recall_at_2)
    for recall_at_1, recall_at_2 in [(0.87, 0.93), (0.88, 0.94), (0.89, 0.95)]:
        _tell_recall(study, recall_at_1, recall_at_2)
    return study


def _is_estimate(found: Estimate | None, mean: float, half_width: float, n: int) -> bool:
    assert found is not None
    return (
        found.mean == pytest.approx(mean)
        and found.half_width == pytest.approx(half_width, rel=1e-4, abs=1e-12)
        and found.n == n
    )


def test_search_alone_has_its_best_trial_and_the_published_rows(search: Study) -> None:
    report = build_report(search.storage, SPACE)
    assert report.best is not None
    assert (report.study, report.space) == (SPACE, SPACE)
    assert (report.dataset, report.backbone) == ("cars196", "resnet50")
    assert report.trials == {"COMPLETE": 2, "PRUNED": 1}
    assert report.best == WinningTrial(
        number=1,
        parameters=TUNED,
        objective="R@1",
        score=0.875,
        epoch=31,
        trials=1,
        mean_score=0.875,
        judged=report.best.judged,
    )
    assert (report.selection, report.on_test_classes) == (HELD_OUT_SELECTION, False)
    assert report.published["tuned"] == {"R@1": 90.2, "R@2": 94.5, "R@4": 96.8, "NMI": 75.8}
    assert report.published["reproduced"]["R@1"] == 89.8
    assert report.retrained == []
    assert report.comparisons == []
    assert report.baselines_of_winner == []
    assert report.retraining_cost is None
    assert report.unfinished_retrainings == []


def test_the_best_configuration_has_the_mean_of_its_trials(storage: Storage) -> None:
    study = create_search(storage, load_space(SPACE), trials=3)
    tell(study, 0.80, best_epoch=44)
    for value in (0.875, 0.855):
        study.enqueue(TUNED)
        tell(study, value, best_epoch=31)
    best = winning_trial(study)
    assert best is not None
    assert (best.number, best.trials) == (1, 2)
    assert best.mean_score == pytest.approx(0.865)
    assert str(best) == "R@1 87.5% at epoch 31 (mean of its 2 completed trials 86.5%)"


def test_figures_are_means_with_intervals_over_seeds(retraining: Study) -> None:
    report = build_report(retraining.storage, SPACE)
    tuned, baseline = report.retrained
    assert (tuned.study, tuned.role, tuned.source_trial) == (RETRAINING, "tuned", 1)
    assert (tuned.parameters, tuned.epochs) == (TUNED, 31)
    assert tuned.scores == [0.90, 0.91, 0.92]
    assert _is_estimate(tuned.recall[1], 0.91, T_2 * 0.01 / 3**0.5, 3)
    assert _is_estimate(tuned.recall[2], 0.95, 0.0, 3)
    assert (baseline.role, baseline.source_trial) == ("baseline", 0)
    assert (baseline.parameters, baseline.epochs) == (BASELINE, 31), "as the winner"
    assert _is_estimate(baseline.recall[2], 0.94, T_2 * 0.01 / 3**0.5, 3)
    (comparison,) = report.comparisons
    assert (comparison.first, comparison.second) == ("tuned #1", "baseline first #0")
    assert _is_estimate(comparison.difference, 0.03, T_4 * (2 * 0.01**2 / 3) ** 0.5, 6)
    assert comparison.verdict == "too few seeds"
    assert comparison.delta == 0.005
    assert comparison.luck is not None
    assert comparison.luck.validation_gain == pytest.approx(0.025)
    assert comparison.luck.test_gain == pytest.approx(0.03)
    assert comparison.correlation == pytest.approx(1.0)


def test_other_figures_are_those_that_every_run_of_a_configuration_recorded(
    search: Study,
) -> None:
    retraining = create_retraining(search, seeds=2, baselines=["first"])
    others = [
        {"NMI": 0.70, "R-Precision": 0.40, "MAP@R": 0.30},
        {"NMI": 0.72, "R-Precision": 0.40, "MAP@R": 0.30},
        {"NMI": 0.68, "R-Precision": 0.38, "MAP@R": 0.28},
    ]
    for figures in others:
        tell(retraining, 0.9, recall={"1": 0.9}, figures=figures)
    tell(retraining, 0.9, recall={"1": 0.9})  # by an earlier version
    report = build_report(search.storage, SPACE)
    tuned, baseline = report.retrained
    assert list(tuned.figures) == ["R@1", "NMI", "R-Precision", "MAP@R"]
    assert tuned.figures["NMI"].mean == pytest.approx(0.71)
    assert tuned.figures["NMI"].n == 2
    assert list(baseline.figures) == ["R@1"]


def test_report_counts_hours_and_names_each_device_once(retraining: Study) -> None:
    report = build_report(retraining.storage, SPACE)
    assert report.search_cost.hours_spent == pytest.approx((7200 + 5400 + 600) / 3600)
    assert report.search_cost.hours_saved == pytest.approx(45 * 100 / 3600)
    assert report.search_cost.unit == "GPU-hours"
    assert report.retraining_cost is not None
    assert report.retraining_cost.hours_spent == pytest.approx(6 * 900 / 3600)
    # The pruned trial was told without one.
    assert set(report.provenance[trial_record.DEVICE]) == {"H200", "V100", None}
    assert len(report.provenance[trial_record.DEVICE]) == 3


def test_report_says_on_how_many_slots_trials_ran(search: Study) -> None:
    assert build_report(search.storage, SPACE).slots == 1
    retraining = create_retraining(search, seeds=1)
    assert claim(retraining, signed_on(search.storage, slots=3)) is not None
    signed_on(search.storage, slots=5)  # without a trial of theirs
    assert build_report(search.storage, SPACE).slots == 3


def test_retraining_run_that_broke_off_saves_no_negative_hours(search: Study) -> None:
    retraining = create_retraining(search, seeds=1)
    tell(retraining, None, TrialState.PRUNED, seconds=300, epoch_seconds=[100.0] * 3)
    found = build_report(search.storage, SPACE).retraining_cost
    assert found is not None
    assert found.hours_saved >= 0


def test_unfinished_retraining_is_named_and_reported_as_far_as_it_is(search: Study) -> None:
    retraining = create_retraining(search, seeds=2)
    assert build_report(search.storage, SPACE).unfinished_retrainings == [RETRAINING]

    _tell_recall(retraining, 0.9, 0.95)
    report = build_report(search.storage, SPACE)
    assert report.unfinished_retrainings == [RETRAINING]
    (tuned,) = report.retrained
    assert tuned.recall[1] == FractionEstimate(mean=0.9, half_width=None, n=1)


def test_report_covers_a_search_with_its_own_retrainings(retraining: Study) -> None:
    storage = retraining.storage
    other = create_search(storage, load_space(SPACE), name="other", trials=1)
    tell(other, 0.7, best_epoch=5)
    assert build_report(storage, "other").retrained == []
    report = build_report(storage, RETRAINING)
    assert report == build_report(storage, SPACE)
    assert report.unfinished_retrainings == []


def test_search_that_has_no_completed_trial_says_why_and_one_that_is_absent_is_refused(
    storage: Storage,
) -> None:
    study = create_search(storage, load_space(SPACE))
    tell(study, None, TrialState.FAIL, reason="out of memory")
    report = build_report(storage, SPACE)
    assert (report.best, report.state, report.budget) == (None, "open", 200)
    assert report.failures == [f"{SPACE} #0: out of memory"]
    with pytest.raises(StudyError, match='found no study "absent"'):
        build_report(storage, "absent")


def test_a_selection_on_the_test_classes_is_noted(storage: Storage) -> None:
    space = load_space(SPACE)
    protocol = space.protocol.model_copy(update={"validation": "test"})
    study = create_search(storage, space.model_copy(update={"protocol": protocol}), trials=1)
    tell(study, 0.9, best_epoch=3)
    report = build_report(storage, SPACE)
    assert (report.selection, report.on_test_classes) == (TEST_SELECTION, True)


def test_retraining_runs_that_failed_are_named_with_their_reasons(search: Study) -> None:
    retraining = create_retraining(search, seeds=1)
    claim = claimed(retraining)
    claim.record({trial_record.REASON: "out of memory at batch size 32"})
    claim.tell(TrialState.FAIL)
    report = build_report(search.storage, SPACE)
    assert report.failed_runs == [f"{RETRAINING} #0: out of memory at batch size 32"]


def test_configurations_at_the_highest_recall_can_not_be_ranked(storage: Storage) -> None:
    study = create_search(storage, load_space(SPACE), trials=4)
    tell(study, 0.75, best_epoch=3)
    assert build_report(storage, SPACE).warnings == []
    for configuration in (TUNED, {**TUNED, "tau": 32}):
        study.enqueue(configuration)
        tell(study, 1.0, best_epoch=3)
    (warning,) = build_report(storage, SPACE).warnings
    assert warning == (
        "2 configurations reach 100%, the highest R@1 there can be, so the validation images can't "
        "show which is best; use more classes, or harder ones"
    )
    part = Part("validation", classes=60, images=200, lone=50)
    note_census(study, Census(replace(part, name="training"), part, replace(part, name="test")))
    *_, warning = build_report(storage, SPACE).warnings
    assert warning.startswith("3 configurations reach 75%, the highest R@1 there can be")
