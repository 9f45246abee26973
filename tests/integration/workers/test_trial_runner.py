import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from PIL import Image

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.image_set import ImageSet
from histsearch.database.storage import Storage
from histsearch.exceptions import CheckpointError, DataError, StoreFullError
from histsearch.models.checkpoint import load_checkpoint
from histsearch.reports.collect import build_report
from histsearch.reports.status import take_status
from histsearch.retrieval.known_metrics import MAP_AT_R, recall_at
from histsearch.search.freeze_thaw_pruner import FreezeThawPruner
from histsearch.space.reading import parse_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.claim import Claim
from histsearch.studies.images import count_images
from histsearch.studies.queue import claim
from histsearch.studies.retraining import create_retraining
from histsearch.studies.store_keys import model_key
from histsearch.studies.study import Study
from histsearch.training import checkpoint_store
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.run_inputs import (
    RunInputs,
    find_run_parts,
    run_settings,
    split_images,
)
from histsearch.training.state_writer import StateWriter
from histsearch.training.trainer import InterruptedRunError, Trainer
from histsearch.workers import run
from histsearch.workers.missing_resources import Lack
from histsearch.workers.outcome import Outcome
from histsearch.workers.reporter import Reporter
from histsearch.workers.run_context import RunContext
from histsearch.workers.trial_runner import RunShortOfError, TrialRunner
from tests.integration.claims import claimed, signed_on
from tests.integration.worker_settings import worker_settings

torch.set_num_threads(1)

PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints go into the current folder unless a test names another."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return load_dataset("folder:stripes", data_dir)


@contextmanager
def reporting(storage: Storage) -> Iterator[tuple[Reporter, int]]:
    """A worker's line to the database, and its key there."""
    worker_id = signed_on(storage)
    with Reporter(storage, worker_id, heartbeat_seconds=10, patience_seconds=60) as reporter:
        yield reporter, worker_id


def runner(
    reporter: Reporter,
    should_stop: Callable[[], bool] = lambda: False,
    folder: Path = Path(),
    every: int = 1,
) -> TrialRunner:
    settings = worker_settings(folder, checkpoints=str(folder), checkpoint_every=every)
    store = open_checkpoint_store(settings.checkpoints)
    return TrialRunner(RunContext(settings, reporter, store, should_stop))


def study_of(storage: Storage, table: dict[str, Any]) -> Study:
    return create_search(storage, parse_space(table, source="test"))


def inputs_of(study: Study, dataset: Dataset) -> RunInputs:
    return RunInputs(dataset, find_run_parts(study.definition.space, Path()))


def run_next(study: Study, dataset: Dataset, folder: Path = Path()) -> tuple[Claim, Outcome]:
    """Claim a trial, run it, and tell its outcome."""
    with reporting(study.storage) as (reporter, worker_id):
        one = claim(study, worker_id)
        assert one is not None
        reporter.begin(one)
        trial_runner = runner(reporter, folder=folder)
        outcome = trial_runner.run(one, inputs_of(study, dataset))
        told = partial(one.tell, outcome.state, outcome.value, outcome.attributes)
        reporter.report(told, ends_claim=True)
        assert reporter.settle(PATIENCE_SECONDS)
        trial_runner.forget(one)
    return one, outcome


def run_until_stopped(
    study: Study, dataset: Dataset, folder: Path, batches: int, every: int = 1
) -> Claim:
    """Run a trial, interrupt it before a batch, and give it back."""
    answers = iter([False] * batches)
    with reporting(study.storage) as (reporter, worker_id):
        one = claim(study, worker_id)
        assert one is not None
        reporter.begin(one)
        with pytest.raises(InterruptedRunError):
            runner(reporter, lambda: next(answers, True), folder, every).run(
                one, inputs_of(study, dataset)
            )
        reporter.report(one.give_back, ends_claim=True)
        assert reporter.settle(PATIENCE_SECONDS)
    return one


def watch_images(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices of the images that are loaded from now on."""
    loaded: list[int] = []
    load = images._images.load

    def load_and_note(index: int) -> Image.Image:
        loaded.append(index)
        return load(index)

    monkeypatch.setattr(images._images, "load", load_and_note)
    return loaded


def stored(study: Study, number: int = 0) -> FrozenTrial:
    return study.trials()[number]


def test_a_search_trial_reports_its_validation_score_every_epoch(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    study = study_of(storage, stripes)
    _, outcome = run_next(study, dataset)

    trial = stored(study)
    assert outcome.state == TrialState.COMPLETE
    assert list(trial.intermediate_values) == [1, 2, 3]
    assert trial.value == max(trial.intermediate_values.values())
    best_epoch = trial.user_attrs[trial_record.BEST_EPOCH]
    assert trial.intermediate_values[best_epoch] == trial.value


def test_a_trial_records_where_its_result_comes_from(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    study = study_of(storage, stripes)
    run_next(study, dataset)

    attributes = stored(study).user_attrs
    assert attributes[trial_record.SEED] == 0
    assert attributes[trial_record.WORKER] == "tester"
    assert len(attributes[trial_record.EPOCH_SECONDS]) == 3
    assert attributes[trial_record.SECONDS] >= sum(attributes[trial_record.EPOCH_SECONDS])
    assert attributes[trial_record.IMAGES_PER_SECOND] > 0
    assert attributes[trial_record.PEAK_MEMORY_MIB] > 0
    assert attributes[trial_record.WEIGHTS] == "none"
    assert attributes[trial_record.VERSIONS]["torch"] == torch.__version__.split("+")[0]
    assert attributes[trial_record.ACCELERATED] is False
    assert trial_record.COMMIT in attributes
    assert attributes[trial_record.DEVICE]


@pytest.mark.parametrize(
    ("paused", "reason"), [(False, "something else promises more"), (True, "the study was paused")]
)
def test_a_trial_that_is_left_says_whether_its_study_was_paused(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    paused: bool,
    reason: str,
) -> None:
    study = study_of(storage, stripes | {"sampler": "freeze-thaw"})
    monkeypatch.setattr(FreezeThawPruner, "prune", lambda *_: True)
    with reporting(storage) as (reporter, worker_id):
        one = claim(study, worker_id)
        assert one is not None
        if paused:
            study.pause()
        reporter.begin(one)
        outcome = runner(reporter).run(one, inputs_of(study, dataset))
    # The pruner is asked from then on: a trial of three epochs runs for two at least.
    assert str(outcome) == f"paused: after epoch 2 {reason}"


def test_a_search_never_touches_the_test_classes(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a test image was loaded")

    monkeypatch.setattr(dataset.test._images, "load", fail)
    _, outcome = run_next(study_of(storage, stripes), dataset)
    assert outcome.state == TrialState.COMPLETE


def test_the_papers_protocol_validates_on_the_test_classes(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = watch_images(dataset.test, monkeypatch)
    stripes["protocol"] = {"validation": "test"}
    run_next(study_of(storage, stripes), dataset)
    assert sorted(set(loaded)) == list(range(len(dataset.test)))


def test_the_same_seed_gives_the_same_curve(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    curves = []
    for name in ("first", "second"):
        study = create_search(storage, parse_space(stripes, source="test"), name=name)
        run_next(study, dataset)
        curves.append(stored(study).intermediate_values)
    assert curves[0] == curves[1]


def test_a_nonfinite_loss_prunes_the_trial_with_its_reason(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    # A step this large sends the embedding layer out of float32's range.
    stripes["fixed"] |= {"lr": 1e30, "warmup_epochs": 0}
    study = study_of(storage, stripes)
    _, outcome = run_next(study, dataset)

    assert outcome.state == TrialState.PRUNED
    assert stored(study).state == TrialState.PRUNED
    assert "the loss became" in stored(study).user_attrs[trial_record.REASON]


def test_out_of_memory_ends_a_run_naming_batch_size_and_memory(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "_train_batch", out_of_memory)
    stripes["enqueue"] = [{"batch_size": 16}]
    stripes["fixed"] |= {"image_size": 48}
    study = study_of(storage, stripes)
    words = r"out of memory at batch size 16 and 48 pixels: \d+ MiB"
    with pytest.raises(RunShortOfError, match=words) as ended:
        run_next(study, dataset)
    assert ended.value.lack is Lack.GPU_MEMORY
    assert stored(study).state == TrialState.RUNNING  # how it goes on is not the run's to say


def test_a_batch_larger_than_the_training_set_fails_with_a_sentence(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    stripes["search"]["batch_size"] = [512]
    study = study_of(storage, stripes)
    _, outcome = run_next(study, dataset)
    assert outcome.state == TrialState.FAIL
    assert "512" in stored(study).user_attrs[trial_record.REASON]


def test_a_hopeless_trial_is_pruned(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    stripes["trials"] = 6
    study = study_of(storage, stripes)
    for _ in range(5):
        good = claimed(study)
        good.record({}, {1: 1.01, 2: 1.01, 3: 1.01})
        good.tell(TrialState.COMPLETE, 1.01)
    _, outcome = run_next(study, dataset)

    assert outcome.state == TrialState.PRUNED
    assert list(stored(study, 5).intermediate_values) == [1]
    assert "median" in stored(study, 5).user_attrs[trial_record.REASON]


def test_an_interrupted_trial_goes_on_where_it_stopped(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    stripes["enqueue"] = [{"batch_size": 8, "tau": 8, "lambda_s": 1.0}]
    undisturbed = create_search(storage, parse_space(stripes, source="test"), name="undisturbed")
    run_next(undisturbed, dataset, tmp_path)

    study = study_of(storage, stripes)
    first = run_until_stopped(study, dataset, tmp_path, batches=11)
    assert stored(study).state == TrialState.WAITING
    assert list(stored(study).intermediate_values) == [1]

    again, outcome = run_next(study, dataset, tmp_path)
    assert (again.trial.number, again.trial.params) == (first.trial.number, first.trial.params)
    assert f"{study.name} #0  resumed after epoch 1" in caplog.text
    whole = stored(undisturbed)
    assert stored(study).intermediate_values == whole.intermediate_values
    assert outcome.value == whole.value
    best_epochs = [one.user_attrs[trial_record.BEST_EPOCH] for one in (stored(study), whole)]
    assert best_epochs[0] == best_epochs[1]
    assert len(stored(study).user_attrs[trial_record.EPOCH_SECONDS]) == 3
    assert list(tmp_path.rglob("*.ckpt")) == []


def test_retraining_tests_once_on_the_full_training_half(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    stripes["search"] |= {"image_size": [24]}
    stripes |= {"precision": "bf16", "determinism": "fast"}
    study = study_of(storage, stripes)
    run_next(study, dataset)
    retraining = create_retraining(study, seeds=2)
    waiting = stored(retraining)
    storage.optuna.set_trial_user_attr(waiting._trial_id, trial_record.EPOCHS, 2)
    evaluated = watch_images(dataset.test, monkeypatch)
    run_next(retraining, dataset, tmp_path)

    trial = stored(retraining)
    assert len(trial.user_attrs[trial_record.EPOCH_SECONDS]) == 2
    assert trial.user_attrs[trial_record.RECALL]["1"] == trial.value
    assert sorted(evaluated) == list(range(len(dataset.test)))
    kept = tmp_path / model_key(retraining, 0)
    assert trial.user_attrs[trial_record.CHECKPOINT] == str(kept)
    model = load_checkpoint(kept)
    assert model.preprocessing.crop == 24
    input_ = {"image_size": 24, "min_crop_area": 0.5, "flip": True}
    assert model.metadata["hyperparameters"].items() >= input_.items()
    assert (model.metadata["precision"], model.metadata["determinism"]) == ("bf16", "fast")


def test_the_objective_is_what_is_reported_stored_and_shown(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    stripes["protocol"] = {"validation": "test", "objective": "map_at_r"}
    stripes["fixed"] |= {"embedding_size": 3, "lr": 1e-4}  # so that not every image is found
    study = study_of(storage, stripes)
    one, outcome = run_next(study, dataset)
    space = study.definition.space
    parts = inputs_of(study, dataset).parts
    settings = run_settings(space, one.trial.params, parts, seed=one.seed)
    train, validation, _ = split_images(dataset, space.protocol)
    trainer = Trainer(settings, train, device=torch.device("cpu"))
    measured = {
        epoch.number: trainer.measure([MAP_AT_R, recall_at(1)], validation)
        for epoch in trainer.epochs()
    }
    curve = {epoch: one["map_at_r"] for epoch, one in measured.items()}
    assert stored(study).intermediate_values == curve
    assert curve != {epoch: one["r_at_1"] for epoch, one in measured.items()}
    assert str(outcome) == f"complete: MAP@R {max(curve.values()):.2%}"
    assert f"stripes #0  epoch 1/3  MAP@R {curve[1]:6.2%}  loss" in caplog.text

    retraining = create_retraining(study, seeds=1)
    run_next(retraining, dataset)
    tested = stored(retraining)
    recall = tested.user_attrs[trial_record.RECALL]
    assert recall.keys() == {"1", "2", "4", "8", "16", "32"}
    assert tested.value != recall["1"]
    for each in (study, retraining):
        assert each.optuna_study.metric_names == ["MAP@R"]

    report = build_report(storage, "stripes")
    (tuned,) = report.retrained
    assert (tuned.scores, tuned.recall[1].mean) == ([tested.value], recall["1"])
    assert list(tuned.figures)[:2] == ["MAP@R", "R@1"]
    assert str(report.best).startswith(f"MAP@R {outcome.value:.1%} at epoch ")
    assert {one.objective for one in take_status(storage).studies} == {"MAP@R"}


def test_an_objective_by_which_every_model_scores_alike_is_refused(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    stripes["protocol"] |= {"objective": "r_at_14"}
    count_images(dataset, study_of(storage, stripes).definition)
    stripes["protocol"] |= {"objective": "r_at_15"}
    study = study_of(storage, stripes | {"name": "more"})
    with pytest.raises(
        DataError, match="R@15 where a validation query ranks 15 images, needed: 16"
    ):
        count_images(dataset, study.definition)


def test_embeddings_that_became_nan_prune_the_trial(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    # One step an epoch, so that the loss before it is still finite.
    stripes["fixed"] |= {"lr": 1e30, "warmup_epochs": 0}
    stripes["search"]["batch_size"] = [32]
    study = study_of(storage, stripes)
    _, outcome = run_next(study, dataset)
    assert outcome.state == TrialState.PRUNED
    assert outcome.reason == "the embeddings became NaN or infinite"


def test_more_memory_than_the_machine_has_is_a_lack(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Trainer, "_train_batch", lambda *_: torch.empty(10**15))
    study = study_of(storage, stripes)
    with pytest.raises(RunShortOfError, match="out of memory at batch size") as ended:
        run_next(study, dataset)
    assert ended.value.lack is Lack.MEMORY


def test_the_time_of_an_interrupted_run_counts(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    study = study_of(storage, stripes)
    first = claimed(study)
    first.record({trial_record.SECONDS: 1000.0})
    first.give_back()
    run_next(study, dataset)
    assert stored(study).user_attrs[trial_record.SECONDS] > 1000


def test_a_model_that_cannot_be_kept_costs_no_figures(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = study_of(storage, stripes)
    run_next(study, dataset)
    retraining = create_retraining(study, seeds=1)
    (tmp_path / model_key(retraining, 0)).mkdir(parents=True)  # in the way
    _, outcome = run_next(retraining, dataset, tmp_path)
    assert outcome.state == TrialState.COMPLETE
    attributes = stored(retraining).user_attrs
    assert attributes[trial_record.RECALL]["1"] == outcome.value
    assert trial_record.CHECKPOINT not in attributes
    assert "the model can't be kept" in caplog.text


def test_states_that_cannot_be_reached_are_waited_for_and_not_given_up(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(run, "_STORE_PAUSES", (0.01, 0.02))
    study = study_of(storage, stripes)
    claimed(study).give_back()  # a first attempt has no states to go on from
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="can't be read"):
        run_next(study, dataset, tmp_path / "file")
    assert caplog.text.count("Trying again in") == 2


def test_points_of_a_grid_share_one_seed(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    stripes |= {"sampler": "grid", "trials": 2, "search": {"tau": [8, 16]}}
    stripes["fixed"]["batch_size"] = 16
    stripes["protocol"]["seed"] = 5
    study = study_of(storage, stripes)
    for _ in range(2):
        run_next(study, dataset)
    assert [trial.user_attrs[trial_record.SEED] for trial in study.trials()] == [5, 5]


def test_a_trial_that_starts_anew_shows_no_steps_of_its_earlier_start(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset
) -> None:
    study = study_of(storage, stripes)
    first = claimed(study)
    first.record({}, dict.fromkeys((1, 2, 3, 4, 5), 9.9))
    first.give_back()
    run_next(study, dataset)
    curve = stored(study).intermediate_values
    assert list(curve) == [1, 2, 3]
    assert all(value <= 1 for value in curve.values())


def test_a_run_interrupted_within_an_epoch_goes_on_with_its_next_batch(
    storage: Storage, stripes: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    stripes["enqueue"] = [{"batch_size": 8, "tau": 8, "lambda_s": 1.0}]
    undisturbed = create_search(storage, parse_space(stripes, source="test"), name="undisturbed")
    run_next(undisturbed, dataset)
    study = study_of(storage, stripes)
    # In the warm-up, then a batch later, and so on: each attempt is one batch long.
    for _ in range(9):
        run_until_stopped(study, dataset, tmp_path, batches=1)
    run_next(study, dataset, tmp_path)
    assert stored(study).intermediate_values == stored(undisturbed).intermediate_values
    assert stored(study).value == stored(undisturbed).value


def test_states_are_saved_at_the_interval_that_was_asked_for(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(StateWriter, "save", lambda _, state: saved.append(len(state["epochs"])))
    stripes["epochs"] = 5
    study = study_of(storage, stripes)
    with reporting(storage) as (reporter, worker_id):
        one = claim(study, worker_id)
        assert one is not None
        reporter.begin(one)
        runner(reporter, folder=tmp_path, every=2).run(one, inputs_of(study, dataset))
    # The warm-up is kept, and the last epoch too, as the outcome may not be told at once.
    assert saved == [0, 2, 4, 5]


def test_a_full_disk_gives_no_outcome(
    storage: Storage,
    stripes: dict[str, Any],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_store, "whole_file", full)
    with pytest.raises(StoreFullError, match="No space left on device"):
        run_next(study_of(storage, stripes), dataset)
