import errno
import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from optuna.trial import TrialState
from PIL import Image
from sqlalchemy import select
from typer.testing import CliRunner

import histsearch
from histsearch.cli.main import app
from histsearch.data import cache_store, image_set
from histsearch.data.cache_contents import kept_forms
from histsearch.data.decoding import decode
from histsearch.data.image_cache import ImageCache
from histsearch.database.storage import Storage
from histsearch.database.tables import attempts
from histsearch.exceptions import (
    CheckpointError,
    DatabaseAwayError,
    DataError,
    StoreFullError,
    StudyError,
    WeightsError,
)
from histsearch.file_writing import whole_file
from histsearch.reports.collect import build_report
from histsearch.reports.document.contents import write_report
from histsearch.reports.document.gathered import gather
from histsearch.reports.status import take_status
from histsearch.space.reading import parse_space
from histsearch.studies.catalog import create_search, delete_study, find_study
from histsearch.studies.claim import Claim
from histsearch.studies.images import known_census
from histsearch.studies.queue import claim
from histsearch.studies.study import DEFINITION, LEFT_BY, Study
from histsearch.training import checkpoint_store
from histsearch.training.trainer import Trainer
from histsearch.workers import exit_codes, study_inputs, worker
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.worker import DeviceFaultError, run_worker
from tests.integration.claims import Judge, signed_on
from tests.integration.studies.half_studies import half_search
from tests.integration.worker_settings import worker_settings
from tests.pages import read_page
from tests.unit.data.drawn_classes import draw_classes
from tests.waiting import wait_until

WAIT_SECONDS = 60.0


def settings(data_dir: Path, *studies: str, drain: bool = True) -> WorkerSettings:
    return worker_settings(data_dir, *studies, drain=drain)


def create(storage: Storage, table: dict[str, Any], **changes: Any) -> Study:
    return create_search(storage, parse_space({**table, **changes}, source="test"))


def test_a_draining_worker_uses_up_every_budget_and_ends(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    studies = [create(storage, stripes, name=name, trials=2) for name in ("a", "b")]
    run_worker(storage, settings(data_dir), StopRequest())
    assert [study.count(TrialState.COMPLETE) for study in studies] == [2, 2]


def test_the_images_of_all_trials_are_decoded_once(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def note(path: Path, *arguments: Any) -> Image.Image:
        decoded.append(path)
        return decode(path, *arguments)

    decoded: list[Path] = []
    monkeypatch.setattr(cache_store, "decode", note)
    monkeypatch.setattr(image_set, "decode", note)
    create(storage, stripes, trials=2, image_size_cap=30)
    cache = ImageCache(tmp_path / "images")
    run_worker(storage, replace(settings(data_dir), image_cache=cache), StopRequest())
    # 48 images train or validate; 16 of them validate, by a crop of the whole image.
    assert len(decoded) == 48 + 16
    assert [(one.form, one.images) for one in kept_forms(cache.folder)] == [
        ("crop-36-32-bilinear", 16),
        ("whole-30", 48),
    ]


def test_a_worker_that_leaves_a_trial_takes_another_one(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A trial that would be the worker's next one all the same goes straight on instead."""
    changes = {"sampler": "freeze-thaw", "epochs": 6, "trials": 5}
    study = create(storage, stripes, **changes)
    with caplog.at_level("INFO"):
        run_worker(storage, settings(data_dir), StopRequest())
    with storage.begin() as connection:
        query = select(attempts.c.trial_id, attempts.c.ending).order_by(attempts.c.id)
        rows = connection.execute(query).all()
    assert any(row.ending == "paused" for row in rows)
    assert all(one.trial_id != two.trial_id for one, two in pairwise(rows))
    assert "(attempt" not in caplog.text, "no run crashed"
    assert study.ended is not None


def test_a_search_learns_from_one_that_is_gone_by_now(
    storage: Storage, stripes_file: Path, data_dir: Path
) -> None:
    url = storage.url.render_as_string(hide_password=False)

    def study(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["study", *arguments, "--storage", url])
        assert done.exit_code == 0, done.output
        return done.stdout

    text = stripes_file.read_text().replace("epochs = 3", "epochs = 1")
    stripes_file.write_text(text.replace('sampler = "tpe"', 'sampler = "freeze-thaw"'))
    create = ("create", str(stripes_file), "--trials", "1")
    study(*create, "--name", "earlier")
    run_worker(storage, settings(data_dir), StopRequest())
    told = study(*create, "--name", "later", "--warm-start", "earlier")
    assert "it has learned from earlier" in told
    study("delete", "earlier", "--yes")
    run_worker(storage, settings(data_dir), StopRequest())
    assert re.search(r"learned: +from earlier", study("show", "later"))
    (first,) = find_study(storage, "later").trials()
    assert first.state == TrialState.COMPLETE


def test_a_worker_serves_its_studies_in_turn(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    studies = [create(storage, stripes, name=name, trials=2) for name in ("a", "b", "c")]
    run_worker(storage, settings(data_dir), StopRequest())
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
    run_worker(storage, settings(data_dir, "a"), StopRequest())
    assert (named.count(), other.count()) == (1, 0)


def test_a_paused_study_is_left_alone(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes)
    study.pause()
    run_worker(storage, settings(data_dir), StopRequest())
    assert study.count() == 0


def test_a_half_created_study_is_named_and_not_served(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = parse_space({**stripes, "enqueue": [{"tau": 8}, {"tau": 16}]}, source="test")
    half = half_search(storage, space, name="half", enqueued=[{"tau": 8}])
    sentence = '"half" is half created: histsearch study delete half, then create it again'
    run_worker(storage, settings(data_dir), StopRequest())
    assert sentence in caplog.text
    with pytest.raises(StudyError, match=sentence):
        run_worker(storage, settings(data_dir, "half"), StopRequest())
    assert [trial.state for trial in half.trials] == [TrialState.WAITING]


def test_an_unknown_study_is_refused(storage: Storage, data_dir: Path) -> None:
    with pytest.raises(StudyError, match='no study "nope"'):
        run_worker(storage, settings(data_dir, "nope"), StopRequest())


def test_missing_data_costs_no_trial(
    storage: Storage, stripes: dict[str, Any], tmp_path: Path
) -> None:
    study = create(storage, stripes)
    with pytest.raises(DataError, match="stripes"):
        run_worker(storage, settings(tmp_path), StopRequest())
    assert study.count() == 0


def test_missing_data_of_one_study_leaves_the_others_running(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    create(storage, stripes, name="a", dataset="folder:nowhere")
    served = create(storage, stripes, name="b", trials=1)
    with pytest.raises(DataError, match=r"study a was left to other workers: .*nowhere"):
        run_worker(storage, settings(data_dir), StopRequest())
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
    run_worker(storage, settings(data_dir), StopRequest())
    assert [trial.state for trial in study.trials()] == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_configuration_that_always_crashes_fails_alone_after_its_retries(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_batch = Trainer._train_batch

    def crash_on_large_batches(trainer: Trainer, images: Any, labels: Any) -> Any:
        if len(labels) == 16:
            raise ZeroDivisionError("a bug")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", crash_on_large_batches)
    study = create(
        storage,
        stripes,
        trials=2,
        max_retries=2,
        enqueue=[{"batch_size": 16}, {"batch_size": 8}],
    )
    run_worker(storage, settings(data_dir), StopRequest())
    failed, complete = study.trials()
    assert (failed.state, complete.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert failed.user_attrs["reason"] == (
        "failed 3 times (max_retries = 2), at last: crashed on tester: ZeroDivisionError: a bug"
    )


def test_a_run_that_crashes_once_goes_on_from_its_last_epoch(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    train_batch = Trainer._train_batch
    crashes = iter([0])

    def crash_once_in_epoch_2(trainer: Trainer, images: Any, labels: Any) -> Any:
        if trainer.finished_epochs == 1 and next(crashes, None) is not None:
            raise ZeroDivisionError("a bug")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", crash_once_in_epoch_2)
    study = create(storage, stripes, trials=1, search={"lambda_s": [0.1 + 0.2]})
    run_worker(storage, settings(data_dir), StopRequest())
    (trial,) = study.trials()
    assert trial.state == TrialState.COMPLETE
    assert "#0  started: lambda_s=0.3\n" in caplog.text
    assert trial.user_attrs["retries"] == ["crashed on tester: ZeroDivisionError: a bug"]
    assert "#0  resumed after epoch 1" in caplog.text


def test_a_device_fault_gives_the_trial_back_and_ends_the_process(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    study = create(storage, stripes, trials=1, max_retries=1)
    monkeypatch.setattr(Trainer, "_train_batch", fault)
    with pytest.raises(DeviceFaultError, match="illegal memory access"):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.trials()[0].state == TrialState.WAITING
    # A configuration that always brings it about must not take down one GPU after the other.
    with pytest.raises(DeviceFaultError):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.trials()[0].state == TrialState.FAIL


def test_a_full_disk_gives_the_trial_back_and_ends_the_worker_with_a_message(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def nearly_full(path: Path, **_: object) -> Iterator[BinaryIO]:
        with whole_file(path) as file:
            yield file
            if file.tell():
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_store, "whole_file", nearly_full)
    study = create(storage, stripes, trials=1)
    with pytest.raises(StoreFullError, match=r"No space left on device.*free space"):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.trials()[0].state == TrialState.WAITING


def test_a_worker_that_could_keep_no_state_begins_nothing(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    study = create(storage, stripes, trials=1)
    elsewhere = replace(settings(data_dir), checkpoints=str(in_the_way))
    with pytest.raises(CheckpointError, match=r"file/check-.* can't be written .*--checkpoints"):
        run_worker(storage, elsewhere, StopRequest())
    assert study.count(TrialState.WAITING) == study.count()


def test_a_draining_worker_waits_for_a_sign_of_life_and_takes_over_without_one(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, trials=1)
    dead = signed_on(storage, heartbeat_seconds=0.2)
    assert claim(study, dead) is not None
    quick = replace(settings(data_dir), heartbeat_seconds=0.1)
    run_worker(storage, quick, StopRequest())
    (trial,) = study.trials()
    assert trial.state == TrialState.COMPLETE
    assert len(trial.user_attrs["retries"]) == 1


def test_a_trial_that_was_taken_over_is_dropped_without_a_crash(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    study = create(storage, stripes, trials=1)
    train_batch = Trainer._train_batch
    successors: list[Claim] = []

    def take_over_then_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        if not successors:
            successors.append(taken_over(study))
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", take_over_then_train)
    with ThreadPoolExecutor() as pool:
        run = pool.submit(run_worker, storage, settings(data_dir), StopRequest())
        wait_until(lambda: "this copy is dropped" in caplog.text)
        assert study.trials()[0].state == TrialState.RUNNING
        successors[0].tell(TrialState.COMPLETE, 0.125)
        run.result(timeout=WAIT_SECONDS)
    assert study.trials()[0].value == 0.125
    assert study.trials()[0].intermediate_values == {}


def taken_over(study: Study) -> Claim:
    """The study's only trial, taken over as soon as its worker doesn't write at that moment."""
    judge = Judge(study.storage)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        judge.watch_for(61)
        judge.take_over()
        successor = claim(study, judge.id)
        if successor is not None:
            return successor
    raise AssertionError("the trial could not be taken over")


def test_a_claim_that_the_worker_was_not_told_of_is_not_left_lying(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create(storage, {**stripes, "epochs": 1, "sampler": "random", "pruner": {"name": "none"}})
    claims: list[int] = []

    def claim_and_lose_the_second_answer(study: Study, worker_id: int) -> Claim | None:
        made = claim(study, worker_id)
        if made is not None:
            claims.append(made.trial.number)
            if len(claims) == 2:
                raise DatabaseAwayError("the answer is lost")
        return made

    monkeypatch.setattr(worker, "claim", claim_and_lose_the_second_answer)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    run_worker(storage, settings(data_dir), StopRequest())
    assert claims == [0, 1, 1, 2]


def test_a_study_of_another_release_line_is_refused_with_a_sentence(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes)
    older = study.definition.model_dump(mode="json") | {"version": "0.0.9"}
    study.optuna_study.set_user_attr(DEFINITION, older)
    sentence = (
        r'"stripes", a study of histsearch 0\.0\.9, .* run its workers with histsearch 0\.0\.x'
    )
    with pytest.raises(StudyError, match=sentence):
        run_worker(storage, settings(data_dir, "stripes"), StopRequest())
    with pytest.raises(StudyError, match=sentence):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.count() == 0


def test_another_patch_of_the_same_release_line_is_served(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, trials=1)
    patched_version = f"{histsearch.__version__.rpartition('.')[0]}.99"
    patched = study.definition.model_dump(mode="json") | {"version": patched_version}
    study.optuna_study.set_user_attr(DEFINITION, patched)
    run_worker(storage, settings(data_dir), StopRequest())
    assert study.count(TrialState.COMPLETE) == 1


def test_unreadable_images_are_left_out_where_the_space_says_so(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    broken = tmp_path / "stripes" / "class00" / "0.png"
    broken.write_bytes(b"no image")
    study = create(storage, stripes, trials=1, on_bad_image="skip")
    run_worker(storage, settings(tmp_path), StopRequest())
    assert study.count(TrialState.COMPLETE) == 1
    assert f"left out the image {broken}" in caplog.text


def test_a_deleted_study_drops_its_trial_and_states_without_a_crash(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_batch = Trainer._train_batch
    saved: list[Path] = []

    def delete_then_train(trainer: Trainer, images: Any, labels: Any) -> Any:
        if trainer.finished_epochs == 1 and not saved:
            saved.extend(tmp_path.rglob("*.ckpt"))
            delete_study(storage, "stripes")
        return train_batch(trainer, images, labels)

    monkeypatch.setattr(Trainer, "_train_batch", delete_then_train)
    create(storage, stripes)
    run_worker(storage, replace(settings(data_dir), checkpoints=str(tmp_path)), StopRequest())
    assert saved
    assert list(tmp_path.iterdir()) == []


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
    run_worker(storage, settings(data_dir, drain=False), stop)
    assert storage.optuna.get_n_trials(1, TrialState.COMPLETE) == 1
    assert stop.exit_code == 0


@pytest.mark.parametrize(
    ("step", "trials", "left", "code"),
    [
        ((study_inputs, "load_images"), 1, [TrialState.WAITING], exit_codes.WORK_LEFT),
        ((worker, "claim"), 1, [TrialState.WAITING], exit_codes.WORK_LEFT),
        ((Claim, "tell"), 1, [TrialState.COMPLETE], 0),
        ((Claim, "tell"), 2, [TrialState.COMPLETE, TrialState.WAITING], exit_codes.WORK_LEFT),
    ],
)
def test_a_stop_leaves_work_where_a_trial_was_running_or_about_to(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[object, str],
    trials: int,
    left: list[TrialState],
    code: int,
) -> None:
    study = create(storage, stripes, trials=trials, epochs=1)
    for tau in (8, 16)[:trials]:
        study.enqueue({"tau": tau})
    stop = StopRequest()
    do = getattr(*step)

    def stop_then_do(*arguments: Any, **options: Any) -> Any:
        stop._requested = True
        return do(*arguments, **options)

    monkeypatch.setattr(*step, stop_then_do)
    run_worker(storage, settings(data_dir), stop)
    assert [trial.state for trial in study.trials()] == left
    assert stop.exit_code == code


def test_a_worker_that_has_drained_leaves_no_work_whatever_signal_comes_then(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    create(storage, stripes, trials=1, epochs=1)
    stop = StopRequest()
    run_worker(storage, settings(data_dir), stop)
    stop._requested = True
    assert stop.exit_code == 0


def test_a_study_says_which_worker_left_it_and_why_until_that_one_serves_it(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    study = create(storage, stripes, trials=1)
    with pytest.raises(DataError) as refused:
        run_worker(storage, settings(tmp_path), StopRequest())
    assert study.left_by == {"localhost": str(refused.value).partition("workers: ")[2]}
    assert take_status(storage).studies[0].left_by == study.left_by
    run_worker(storage, settings(data_dir), StopRequest())
    assert study.optuna_study.user_attrs[f"{LEFT_BY}localhost"] is None


def test_a_missing_weights_file_costs_no_trial(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, weights="nowhere.pth")
    with pytest.raises(WeightsError, match=str(data_dir / "nowhere.pth")):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.count() == 0


def test_an_unreadable_image_costs_no_trial_and_is_named(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    broken = tmp_path / "stripes" / "class00" / "0.png"
    broken.write_bytes(b"no image")
    study = create(storage, stripes)
    with pytest.raises(DataError, match=str(broken)):
        run_worker(storage, settings(tmp_path), StopRequest())
    assert [trial.state for trial in study.trials()] == [TrialState.WAITING]


def test_other_images_than_the_study_began_with_are_refused(
    storage: Storage, stripes: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    study = create(storage, stripes, trials=1)
    run_worker(storage, settings(data_dir), StopRequest())
    study.enqueue({"tau": 8})
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    shutil.copytree(data_dir / "stripes" / "class00", tmp_path / "stripes" / "another")
    with pytest.raises(DataError, match="aren't those"):
        run_worker(storage, settings(tmp_path), StopRequest())
    assert study.count(TrialState.WAITING) == 1


def test_too_few_classes_to_hold_out_cost_no_trial(
    storage: Storage, stripes: dict[str, Any], data_dir: Path
) -> None:
    study = create(storage, stripes, protocol={"validation_fraction": 0.05})
    with pytest.raises(DataError, match="class"):
        run_worker(storage, settings(data_dir), StopRequest())
    assert study.count() == 0


def test_the_images_of_a_study_are_told_once_and_shown_with_it(
    storage: Storage,
    stripes: dict[str, Any],
    data_dir: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "histsearch")
    study = create(storage, stripes, trials=2, epochs=1)
    run_worker(storage, settings(data_dir), StopRequest())
    images = (
        "training 32 images in 4 classes; validation 16 images in 2 classes; test 48 images in 6 "
        "classes; one validation image is worth 6.25 points, one test image 2.08"
    )
    too_few = (
        "16 validation images in 2 classes are too few to rank by, as one is worth 6.25 points; "
        "have at least 10 classes and 100 images"
    )
    assert caplog.messages.count(f"study stripes: {images}") == 1
    assert caplog.messages.count(f"study stripes: {too_few}") == 1
    assert str(known_census(study)) == images
    report = build_report(storage, "stripes")
    assert str(report.images) == images
    assert report.warnings[0] == too_few
    page, as_json = write_report(gather(storage, ["stripes"]), tmp_path, data_dir)
    (written,) = json.loads(as_json.read_text())["studies"]
    assert written["images"]["validation"]["image_points"] == 6.25
    assert too_few in read_page(page.read_text()).text
    counts = (tmp_path / "tables" / "images.csv").read_text().splitlines()
    assert "validation,2,16,15,0,6.25,100.0" in counts
    url = storage.url.render_as_string(hide_password=False)
    shown = CliRunner().invoke(app, ["study", "show", "stripes", "--storage", url]).stdout
    assert f"images:    {images}\n" in shown
    assert f"warning:   {too_few}\n" in shown


def test_images_by_which_nothing_can_be_chosen_cost_no_trial(
    storage: Storage, stripes: dict[str, Any], tmp_path: Path
) -> None:
    draw_classes(tmp_path / "stripes", [1] * 6 + [2] * 6)
    study = create(storage, stripes)
    with pytest.raises(DataError, match="Each of the 2 validation classes has one image"):
        run_worker(storage, settings(tmp_path), StopRequest())
    assert study.count() == 0
    assert "has one image" in study.left_by["localhost"]
