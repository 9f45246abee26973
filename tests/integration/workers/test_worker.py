import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState

from histsearch.exceptions import DataError, StudyError, WeightsError
from histsearch.search.space import parse_space
from histsearch.studies.catalog import create_search, delete_study
from histsearch.studies.storage import Storage
from histsearch.studies.study import Study
from histsearch.training.trainer import Trainer
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import Worker, WorkerSettings


def settings(data_dir: Path, *studies: str, drain: bool = True) -> WorkerSettings:
    return WorkerSettings(
        name="tester",
        study_names=studies,
        drain=drain,
        data_dir=data_dir,
        checkpoint_dir=data_dir / "checkpoints",
        device="cpu",
        threads=1,
        loader_processes=0,
    )


def create(storage: Storage, table: dict[str, Any], **changes: Any) -> Study:
    return create_search(storage, parse_space({**table, **changes}, source="test"))


def test_a_draining_worker_uses_up_every_budget_and_ends(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    studies = [create(storage, stripes, name=name, trials=2) for name in ("a", "b")]
    Worker(storage, settings(data_dir), StopRequest()).run()
    assert [study.count(TrialState.COMPLETE) for study in studies] == [2, 2]


def test_a_worker_serves_its_studies_in_turn(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    studies = [create(storage, stripes, name=name, trials=2) for name in ("a", "b", "c")]
    Worker(storage, settings(data_dir), StopRequest()).run()
    starts = sorted(
        (trial.datetime_start, study.name) for study in studies for trial in study.trials()
    )
    served = [name for _, name in starts]
    assert sorted(served[:3]) == ["a", "b", "c"]
    assert sorted(served[3:]) == ["a", "b", "c"]


def test_a_worker_serves_only_the_studies_it_was_named(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    named, other = (create(storage, stripes, name=name, trials=1) for name in ("a", "b"))
    Worker(storage, settings(data_dir, "a"), StopRequest()).run()
    assert (named.count(), other.count()) == (1, 0)


def test_a_paused_study_is_left_alone(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes)
    study.pause()
    Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.count() == 0


def test_an_unknown_study_is_refused(storage: Storage, data_dir: Path) -> None:
    with pytest.raises(StudyError, match='no study "nope"'):
        Worker(storage, settings(data_dir, "nope"), StopRequest()).run()


def test_missing_data_costs_no_trial(
    storage: Storage, stripes: dict[str, Any], tmp_path: Path
) -> None:
    study = create(storage, stripes)
    with pytest.raises(DataError, match="stripes"):
        Worker(storage, settings(tmp_path), StopRequest()).run()
    assert study.count() == 0


def test_missing_data_of_one_study_leaves_the_others_running(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    create(storage, stripes, name="a", dataset="folder:nowhere")
    served = create(storage, stripes, name="b", trials=1)
    with pytest.raises(DataError, match="nowhere"):
        Worker(storage, settings(data_dir), StopRequest()).run()
    assert served.count(TrialState.COMPLETE) == 1


def test_out_of_memory_fails_the_trial_and_the_worker_goes_on(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_batch = Trainer._train_batch

    def no_memory_for_large_batches(trainer: Trainer, images: Any, labels: Any) -> Any:
        if len(labels) == 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", no_memory_for_large_batches)
    study = create(storage, stripes, trials=2, enqueue=[{"batch_size": 16}, {"batch_size": 8}])
    Worker(storage, settings(data_dir), StopRequest()).run()
    assert [trial.state for trial in study.trials()] == [TrialState.FAIL, TrialState.COMPLETE]


def test_an_unexpected_error_fails_its_trial_and_ends_the_worker(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Trainer, "_train_batch", broken)
    study = create(storage, stripes)
    with pytest.raises(ZeroDivisionError):
        Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.trials()[0].state == TrialState.FAIL
    assert study.trials()[0].user_attrs["reason"] == "ZeroDivisionError: a bug"


def test_a_deleted_study_drops_its_trial_without_a_crash(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_batch = Trainer._train_batch
    deleted = threading.Event()

    def delete_then_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        if not deleted.is_set():
            deleted.set()
            delete_study(storage, "stripes")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", delete_then_train)
    create(storage, stripes)
    Worker(storage, settings(data_dir), StopRequest()).run()
    assert deleted.is_set()


def test_an_idle_worker_picks_up_new_work_until_stopped(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = StopRequest()
    idle = iter([0])

    def create_work_then_stop(_: float) -> None:
        if next(idle, None) is None:
            stop._requested = True
        else:
            create(storage, stripes, trials=1)

    monkeypatch.setattr(stop, "wait", create_work_then_stop)
    Worker(storage, settings(data_dir, drain=False), stop).run()
    assert storage.optuna.get_n_trials(1, TrialState.COMPLETE) == 1


def test_a_missing_weights_file_costs_no_trial(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, weights="nowhere.pth")
    with pytest.raises(WeightsError, match=str(data_dir / "nowhere.pth")):
        Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.count() == 0


def test_an_unreadable_image_costs_no_trial_and_is_named(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    broken = tmp_path / "stripes" / "class00" / "0.png"
    broken.write_bytes(b"no image")
    study = create(storage, stripes)
    with pytest.raises(DataError, match=str(broken)):
        Worker(storage, settings(tmp_path), StopRequest()).run()
    assert [trial.state for trial in study.trials()] == [TrialState.WAITING]


def test_other_images_than_the_study_began_with_are_refused(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    study = create(storage, stripes, trials=1)
    Worker(storage, settings(data_dir), StopRequest()).run()
    study.enqueue({"tau": 8})
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    shutil.copytree(data_dir / "stripes" / "class00", tmp_path / "stripes" / "another")
    with pytest.raises(DataError, match="aren't those"):
        Worker(storage, settings(tmp_path), StopRequest()).run()
    assert study.count(TrialState.WAITING) == 1


def test_too_few_classes_to_hold_out_cost_no_trial(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, protocol={"validation_fraction": 0.05})
    with pytest.raises(DataError, match="class"):
        Worker(storage, settings(data_dir), StopRequest()).run()
    assert study.count() == 0
