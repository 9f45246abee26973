"""A search on two folds, from its images to its report."""

from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState

from histsearch.data.dataset import load_dataset
from histsearch.database.storage import Storage
from histsearch.exceptions import DataError
from histsearch.reports.collect import build_report
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.data_here import look_for_data
from histsearch.studies.images import known_census
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from histsearch.studies.trial_record import FOLD
from histsearch.training.run_inputs import find_run_parts, run_settings, split_images
from histsearch.training.trainer import Trainer
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import run_worker
from tests.integration.workers.test_worker import settings

ONE = {"lambda_s": 1.0, "tau": 16}
OTHER = {"lambda_s": 2.0, "tau": 8}


@pytest.fixture
def table(stripes: dict[str, Any]) -> dict[str, Any]:
    return stripes | {
        "sampler": "freeze-thaw",
        "pruner": "none",
        "decided": False,
        "search": {"lambda_s": [0.5, 1.0, 2.0], "tau": [8, 16]},
        "fixed": stripes["fixed"] | {"batch_size": 8},
        "protocol": {"folds": 2},
        "enqueue": [ONE, OTHER, ONE],
    }


def create(storage: Storage, table: dict[str, Any]) -> Study:
    return create_search(storage, parse_space(table, source="test"))


def stopped_in_the_second_trial(
    storage: Storage, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a worker that is stopped once the second trial has an epoch."""
    stop = StopRequest()
    train_batch = Trainer._train_batch
    trainers: list[Trainer] = []

    def stop_in_epoch_2(trainer: Trainer, images: Any, labels: Any) -> Any:
        if trainer not in trainers:
            trainers.append(trainer)
        if len(trainers) == 2 and trainer.finished_epochs == 1:
            stop._requested = True
        return train_batch(trainer, images, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_batch", stop_in_epoch_2)
        run_worker(storage, settings(data_dir), stop)


def reported(study: Study, number: int) -> list[float]:
    steps = study.trials()[number].intermediate_values
    return [steps[epoch] for epoch in sorted(steps)]


def trained(study: Study, data_dir: Path, number: int, fold: int) -> list[float]:
    """The curve of a trial, were it trained on a fold without a stop."""
    space, trial = study.definition.space, study.trials()[number]
    dataset = load_dataset(space.dataset, data_dir)
    train, validation, gallery = split_images(dataset, space.protocol, fold)
    parts, seed = find_run_parts(space, data_dir), study.definition.seed_of(trial)
    own = run_settings(space, trial.params, parts, seed=seed)
    epochs = Trainer(own, train, device=torch.device("cpu")).epochs(validation, gallery)
    return [epoch.score or 0.0 for epoch in epochs]


def test_trials_go_on_with_their_folds_and_the_winner_is_retrained_on_all_classes(
    storage: Storage,
    table: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    study = create(storage, table)
    stopped_in_the_second_trial(storage, data_dir, monkeypatch)
    run_worker(storage, settings(data_dir), StopRequest())
    assert "#1  resumed after epoch 1" in caplog.text
    assert study.count(TrialState.COMPLETE) == 3
    folds = [0, 1, 1]
    assert [trial.user_attrs[FOLD] for trial in study.trials()] == folds
    for number, fold in enumerate(folds):
        assert reported(study, number) == trained(study, data_dir, number, fold)
    census = known_census(study)
    assert census is not None
    assert "validation 24 images in 3 classes (the smallest of 2 folds)" in str(census)

    create_retraining(study, seeds=1)
    run_worker(storage, settings(data_dir), StopRequest())
    report = build_report(storage, "stripes")
    assert report.best is not None
    assert report.best.fold in (0, 1)
    assert [len(one.scores) for one in report.retrained] == [1]


def test_a_state_of_another_fold_isnt_gone_on_with(
    storage: Storage,
    table: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = create(storage, table | {"trials": 2, "enqueue": [ONE, OTHER]})
    stopped_in_the_second_trial(storage, data_dir, monkeypatch)
    storage.optuna.set_trial_user_attr(study.trials()[1]._trial_id, FOLD, 0)
    run_worker(storage, settings(data_dir), StopRequest())
    assert "it is passed over" in caplog.text
    assert reported(study, 1) == trained(study, data_dir, 1, 0)


def test_more_folds_than_the_classes_allow_are_told_at_creation_and_cost_no_trial(
    storage: Storage, table: dict[str, Any], data_dir: Path
) -> None:
    sentence = "6 training classes can't make 4 folds of at least 2 classes each: have at most 3"
    study = create(storage, table | {"protocol": {"folds": 4}, "enqueue": []})
    here = look_for_data(study.definition, data_dir)
    assert here is not None
    assert here.census is None
    assert [lack.startswith(sentence) for lack in here.lacks] == [True]
    with pytest.raises(DataError, match=sentence):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.count() == 0
