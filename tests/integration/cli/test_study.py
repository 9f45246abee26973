import json
import re
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search, delete_study, find_study
from histsearch.studies.stages import ENDED
from tests.integration.claims import claimed, end_if_due
from tests.integration.studies.small_search import complete_next, small_space


def invoke(storage: Storage, command: str, *arguments: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["study", command, "small", *arguments, "--storage", url])
    assert done.exit_code == 0, done.output
    return done.stdout


def shown(storage: Storage, *options: str) -> str:
    return invoke(storage, "show", *options)


def test_a_search_tells_how_far_it_is_from_being_decided(storage: Storage) -> None:
    study = create_search(
        storage,
        small_space(
            sampler="freeze-thaw",
            search={"tau": [4, 8]},
            enqueue=[{"tau": 4}],
            trials=9,
            decided={"delta": 1.0, "epsilon": 0.05},
        ),
    )
    assert "in doubt" not in shown(storage)
    study.note_left("node7", "There is no folder /data.")
    assert "left by:   workers on node7: There is no folder /data.\n" in shown(storage)
    claim = claimed(study)
    claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
    claim.tell(TrialState.COMPLETE, 0.5)
    end_if_due(study)
    assert (
        "in doubt:  100% chance that another configuration beats the winner by more than 1 point; "
        "the search ends below 5%, once trials have run with tau = 8\n"
    ) in shown(storage)
    assert json.loads(shown(storage, "--json"))["chance_of_better"] == 1.0
    study.optuna_study.set_user_attr(ENDED, "for a reason")
    assert "in doubt" not in shown(storage)


def test_a_search_of_several_folds_tells_how_they_differ_and_agree(storage: Storage) -> None:
    assert "folds:" not in shown_new(storage, folds=1)
    delete_study(storage, "small")
    told = shown_new(storage, folds=2)
    assert "folds:     2, not enough yet: trials have run on one fold at most\n" in told
    assert "agreement: not enough yet: three configurations must have run on the same two" in told
    study = find_study(storage, "small")
    for fold in (0, 1):
        for value in (0.5, 0.6, 0.7):
            complete_next(study, value + 0.1 * fold)
    told = shown(storage)
    assert re.search(
        r"folds:     2, standard deviation \d\.\d points \(-\d\.\d, \+\d\.\d\)\n", told
    )
    assert "agreement: Kendall's tau 1.00 between folds, over 3 configurations\n" in told
    assert re.search(r"best: +trial 2, R@1 70\.0% at epoch 1 on fold 0 \(mean of its 2 ", told)
    assert json.loads(shown(storage, "--json"))["folds"]["agreement"] == 1.0


def shown_new(storage: Storage, folds: int) -> str:
    create_search(
        storage,
        small_space(
            sampler="grid",
            pruner="none",
            search={"tau": [4, 8, 16]},
            enqueue=[],
            protocol={"folds": folds},
        ),
        trials=3 * folds,
    )
    return shown(storage)


def test_a_search_whose_trials_have_begun_tells_what_may_still_happen(storage: Storage) -> None:
    study = create_search(
        storage,
        small_space(
            sampler="freeze-thaw",
            search={"lr": {"low": 1e-5, "high": 1e-2, "log": True}},
            enqueue=[{"lr": 1e-5}, {"lr": 1e-2}],
            trials=2,
            decided=False,
        ),
    )
    for number in range(2):
        claim = claimed(study)
        claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5 + 0.01 * number, 2: 0.55})
        claim.pause()
    end_if_due(study)
    text = shown(storage)
    assert (
        " chance that a paused trial overtakes the winner by more than 0.5 points; the search"
        in text
    )
    assert "once trials have run" not in text, "no new trial may start"


def test_the_range_that_no_trial_has_run_in_is_shown(storage: Storage) -> None:
    lr = {"low": 1e-5, "high": 1e-2, "log": True}
    queue = [{"lr": lr} for lr in (1e-5, 2e-5, 1e-2)]
    study = create_search(
        storage, small_space(sampler="freeze-thaw", search={"lr": lr}, enqueue=queue, trials=9)
    )
    for _ in queue:
        claim = claimed(study)
        claim.record({trial_record.BEST_EPOCH: 1}, {1: 0.5})
        claim.tell(TrialState.COMPLETE, 0.5)
    end_if_due(study)
    assert re.search(r"once trials have run with lr from \S+ to \S+\n", shown(storage))


def test_a_configuration_is_shown_with_few_digits_and_counts_with_their_nouns(
    storage: Storage,
) -> None:
    lr = {"low": 1e-5, "high": 1e-2, "log": True}
    long = {"lr": 0.00046066102129245354}
    space = small_space(search={"lr": lr}, epochs=1, trials=1, enqueue=[long])
    study = create_search(storage, space)
    assert "on conv4, loss hist, 1 epoch\n" in shown(storage)
    complete_next(study, 0.5)
    assert "trial 0, R@1 50.0% at epoch 1: lr = 0.0004607\n" in shown(storage)
    assert invoke(storage, "best").endswith(": lr = 0.0004607\n")
    assert json.loads(shown(storage, "--json"))["best"]["params"] == long
    url = storage.url.render_as_string(hide_password=False)
    retrain = ["retrain", "small", "--seeds", "1", "--storage", url]
    assert (
        '"small-retrain": 1 trial, tuned #0 for 1 epoch\n'
        in CliRunner().invoke(app, retrain).stdout
    )


def test_what_ends_a_search_is_set_and_shown(storage: Storage) -> None:
    create_search(storage, small_space(sampler="freeze-thaw", search={"tau": [4, 8]}, enqueue=[]))
    limits = "trials = 9, gpu_hours = 1.5, decided = {delta = 0.25, epsilon = 0.05}"
    done = invoke(storage, "set", "trials=9", "gpu_hours=1.5", "decided={delta = 0.25}")
    assert done.startswith(f'"small" ends by: {limits}\n')
    assert f"ends by:   {limits}\n" in shown(storage)
    assert "gpu_hours = false, decided = false" in invoke(
        storage, "set", "gpu_hours=false", "decided=false"
    )


def create(storage: Storage, folder: Path, table: dict[str, Any], *options: str) -> Result:
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key != "search"]
    space = folder / "space.toml"
    space.write_text("\n".join([*lines, "search = { tau = [4, 8] }"]))
    url = storage.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["study", "create", str(space), "--storage", url, *options])
    assert done.exit_code == 0, done.output
    return done


def test_the_data_folder_of_a_new_study_may_be_named(
    storage: Storage, data_dir: Path, tmp_path: Path
) -> None:
    seen = {"name": "seen", "dataset": "folder:stripes", "backbone": "conv4"}
    table = {**seen, "epochs": 1, "trials": 9}
    created = create(storage, tmp_path, table, "--data", str(data_dir))
    assert f"images in {data_dir}: training 32 images" in created.stdout


def test_a_new_study_is_told_what_the_data_folder_here_lacks(
    storage: Storage, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"backbone": "conv4", "epochs": 1, "trials": 9}
    seen = {"name": "seen", "dataset": "folder:stripes"}
    monkeypatch.setenv("HISTSEARCH_DATA", str(data_dir))
    created = create(storage, tmp_path, {**table, **seen})
    assert (
        f"images in {data_dir}: training 32 images in 4 classes; validation 16 images in 2 "
        "classes; test 48 images in 6 classes; one validation image is worth 6.25 points, "
        "one test image 2.08\n"
    ) in created.stdout
    warnings = created.stderr.splitlines()
    assert [line.split(" are ")[0] for line in warnings] == [
        "warning: 16 validation images in 2 classes",
        "warning: 48 test images in 6 classes",
        "warning: delta is 0.5 points, less than the 6.25 that one validation image is worth; set "
        "it to 6.25 or more, or have more validation images",
    ]
    unseen = {"name": "unseen", "dataset": "folder:birds", "weights": "conv4.pt"}
    warned = create(storage, tmp_path, {**table, **unseen})
    assert 'created study "unseen"' in warned.stdout
    assert "images in" not in warned.stdout
    cannot = f"warning: workers with the data folder {data_dir} can't serve it: There is no "
    weights, images = warned.stderr.splitlines()
    assert weights == f"{cannot}weights file {data_dir}/conv4.pt."
    assert images.startswith(f"{cannot}folder {data_dir}/birds: ")
    monkeypatch.setenv("HISTSEARCH_DATA", str(tmp_path / "nowhere"))
    assert create(storage, tmp_path, {**table, **unseen, "name": "elsewhere"}).stderr == ""


def test_studies_are_paused_resumed_listed_enqueued_and_deleted(
    storage: Storage, stripes_file: Path
) -> None:
    url = storage.url.render_as_string(hide_password=False)

    def study(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["study", *arguments, "--storage", url])
        assert done.exit_code == code, done.output
        return done.stdout

    study("create", str(stripes_file), "--name", "one")
    study("pause", "one")
    assert re.search(r"one .* paused", study("list"))
    study("resume", "one")
    assert re.search(r"one .* open", study("list"))
    study("enqueue", "one", "tau=16", "batch_size=8")
    assert json.loads(study("show", "one", "--json"))["trials"] == {"WAITING": 1}
    assert "no completed trial yet" in study("best", "one")
    assert 'Delete study "one"' in study("delete", "one", code=1)
    study("delete", "one", "--yes")
    assert "no studies yet" in study("list")


def test_a_study_on_the_test_classes_warns(storage: Storage, stripes_file: Path) -> None:
    url = storage.url.render_as_string(hide_password=False)
    text = stripes_file.read_text().replace("validation_fraction = 0.34", 'validation = "test"')
    stripes_file.write_text(text.replace('name = "stripes"', 'name = "small"'))
    done = CliRunner().invoke(app, ["study", "create", str(stripes_file), "--storage", url])
    assert "TEST CLASSES" in done.stderr
    assert "TEST CLASSES" in shown(storage)


def test_it_says_what_ended_a_study_and_where_the_highest_single_value_stands(
    storage: Storage,
) -> None:
    queue = [{"tau": tau} for tau in (4, 8)]
    study = create_search(
        storage,
        small_space(sampler="random", search={"tau": [4, 8, 16]}, enqueue=queue, trials=2),
    )
    assert "ended:" not in shown(storage)
    complete_next(study, 0.5)
    assert "highest:" not in shown(storage), "it is the winner's"
    pruned = claimed(study)
    pruned.record({}, {1: 0.6, 2: 0.3})
    pruned.tell(TrialState.PRUNED, 0.3)
    told = shown(storage)
    assert "ended:     all 2 trials have run\n" in told
    assert "best:      trial 0, R@1 50.0% at epoch 1: tau = 4\n" in told
    assert "highest:   trial 1, a single R@1 of 60.0%: tau = 8\n" in told
    found = json.loads(shown(storage, "--json"))
    assert found["highest"] == {"number": 1, "value": 0.6, "params": {"tau": 8}}
    assert found["ended"] == "all 2 trials have run"


def test_a_grid_whose_points_have_run_says_that_its_trials_ended_it(storage: Storage) -> None:
    study = create_search(
        storage,
        small_space(sampler="grid", pruner="none", search={"tau": [4, 8]}, enqueue=[], trials=2),
    )
    for value in (0.5, 0.6):
        complete_next(study, value)
    assert f"ended:     all {study.budget} trials have run\n" in shown(storage)
