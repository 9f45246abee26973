"""A search whose trials are paused, by the program as a user starts it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies.catalog import find_study
from tests.acceptance.processes import Look, Run, Start


@pytest.fixture
def freeze_thaw_file(stripes: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "freeze-thaw.toml"
    lines = [
        'name = "stripes"',
        'dataset = "folder:stripes"',
        'backbone = "conv4"',
        "epochs = 4",
        "trials = 5",
        "decided = false",
        "[search]",
        "lambda_s = [0.5, 1.0, 2.0]",
        "tau = [8, 16, 32]",
        "batch_size = [8, 16]",
        "[fixed]",
        *(f"{name} = {json.dumps(value)}" for name, value in stripes["fixed"].items()),
        "[protocol]",
        "validation_fraction = 0.34",
    ]
    path.write_text("\n".join(lines))
    return path


def test_two_workers_pause_trials_and_bring_the_winner_to_its_end(
    run: Run, start: Start, look: Look, storage: Storage, freeze_thaw_file: Path
) -> None:
    run("study", "create", str(freeze_thaw_file))
    workers = [start("worker", "--device", "cpu", "--drain") for _ in range(2)]
    log = "".join(worker.communicate()[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert "Traceback" not in log
    assert "something else promises more" in log
    assert re.search(r"#\d  resumed after epoch [123]", log)

    shown = json.loads(look("study", "show", "stripes", "--json"))
    assert shown["finished"] == 5
    assert shown["trials"]["COMPLETE"] >= 1
    assert shown["ended"]
    trials = find_study(storage, "stripes").trials()
    for trial in trials:
        reached = len(trial.intermediate_values)
        assert list(trial.intermediate_values) == list(range(1, reached + 1))
        assert len(trial.user_attrs["epoch_seconds"]) == reached
        assert trial.state == TrialState.PRUNED or reached == 4
    # Each epoch once: what was paused went on where it stood.
    epochs = re.findall(r"(#\d)  epoch (\d)/4", log)
    assert len(epochs) == len(set(epochs)) == sum(len(one.intermediate_values) for one in trials)


def test_a_search_ends_when_its_hours_are_used_with_a_complete_winner(
    run: Run, start: Start, look: Look, storage: Storage, freeze_thaw_file: Path
) -> None:
    text = freeze_thaw_file.read_text().replace("trials = 5", "trials = 18\ngpu_hours = 0.001")
    freeze_thaw_file.write_text(text)
    run("study", "create", str(freeze_thaw_file))
    worker = start("worker", "--device", "cpu", "--drain")
    log, _ = worker.communicate()
    assert worker.returncode == 0
    assert "study stripes ends" in log
    study = find_study(storage, "stripes")
    assert study.is_finished
    assert study.best(), "the winner ran to its end"
    assert "trial" in look("study", "best", "stripes")
    assert re.search(r"ended: .* hours are used, of 0.001", look("study", "show", "stripes"))
