import csv
import io
import json
import re
from pathlib import Path

import optuna
from sqlalchemy.engine import URL

from tests.acceptance.processes import Run, Start


def test_from_a_space_file_to_a_report(
    run: Run, start: Start, stripes_file: Path, database: URL, tmp_path: Path
) -> None:
    created = run("study", "create", str(stripes_file), "--trials", "4")
    assert 'created study "stripes": 4 trials' in created.stdout

    workers = [start("worker", "--device", "cpu", "--drain", "--study", "stripes") for _ in "12"]
    logs = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], logs
    assert "epoch 3/3" in "".join(logs)

    shown = json.loads(run("study", "show", "stripes", "--json").stdout)
    assert shown["finished"] == 4
    assert shown["state"] == "finished"
    assert set(shown["best"]["params"]) == {"lambda_s", "tau", "batch_size"}

    ordinary = optuna.load_study(
        study_name="stripes", storage=database.render_as_string(hide_password=False)
    )
    assert ordinary.best_trial.params == shown["best"]["params"]

    run("retrain", "stripes", "--seeds", "2")
    run("worker", "--device", "cpu", "--drain", "--study", "stripes-retrain")

    folder = tmp_path / "report"
    printed = run("report", "stripes", "--out", str(folder)).stdout
    assert "on the test classes" in printed
    assert "R@32" in printed
    report = json.loads((folder / "report.json").read_text())
    assert [one["role"] for one in report["retrained"]] == ["tuned"]
    tuned = report["retrained"][0]
    assert tuned["parameters"] == shown["best"]["params"]
    assert set(tuned["recall"]) == {"1", "2", "4", "8", "16", "32"}
    assert tuned["recall"]["1"]["n"] == 2
    assert "± " in (folder / "report.md").read_text()

    # The kept model gives the figure that its trial told.
    (model,) = (tmp_path / "checkpoints").glob("stripes-retrain-*/0.pt")
    row = ("--checkpoint", str(model), "--dataset", "folder:stripes", "--device", "cpu")
    evaluated = run("evaluate", *row).stdout.splitlines()
    told = 100 * tuned["recall_at_1"][0]
    assert dict(zip(evaluated[0].split(), evaluated[1].split()[1:], strict=True))["R@1"] == (
        f"{told:.1f}"
    )
    exported = tmp_path / "exported" / "model.safetensors"
    run("export", "stripes-retrain/0", "--format", "safetensors", "--out", str(exported))
    assert exported.is_file()
    assert (
        json.loads(exported.with_name("model.safetensors.json").read_text())["backbone"] == "conv4"
    )

    table = list(csv.DictReader(io.StringIO(run("study", "export", "stripes").stdout)))
    assert [row["number"] for row in table] == ["0", "1", "2", "3"]


def test_studies_are_paused_resumed_listed_enqueued_and_deleted(
    run: Run, stripes_file: Path
) -> None:
    run("study", "create", str(stripes_file), "--name", "one")
    run("study", "pause", "one")
    assert re.search(r"one .* paused", run("study", "list").stdout)
    run("study", "resume", "one")
    assert re.search(r"one .* open", run("study", "list").stdout)
    run("study", "enqueue", "one", "tau=16", "batch_size=8")
    assert json.loads(run("study", "show", "one", "--json").stdout)["trials"] == {"WAITING": 1}
    assert "no completed trial yet" in run("study", "best", "one").stdout

    refused = run("study", "delete", "one", code=1)
    assert 'Delete study "one"' in refused.stdout
    run("study", "delete", "one", "--yes")
    assert "no studies yet" in run("study", "list").stdout


def test_a_study_on_the_test_classes_warns(run: Run, stripes_file: Path, tmp_path: Path) -> None:
    text = stripes_file.read_text().replace("validation_fraction = 0.34", 'validation = "test"')
    paper = tmp_path / "paper.toml"
    paper.write_text(text)
    assert "TEST CLASSES" in run("study", "create", str(paper)).stderr
    assert "TEST CLASSES" in run("study", "show", "stripes").stdout
