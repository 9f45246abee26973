import csv
import io
import json
from pathlib import Path

import optuna
from sqlalchemy.engine import URL

from tests.acceptance.processes import Look, Run, Start
from tests.pages import read_page


def test_from_a_space_file_to_a_report(
    run: Run, start: Start, look: Look, stripes_file: Path, database: URL, tmp_path: Path
) -> None:
    created = run("study", "create", str(stripes_file), "--trials", "4")
    assert 'created study "stripes": 4 trials' in created.stdout

    workers = [start("worker", "--device", "cpu", "--drain", "--study", "stripes") for _ in "12"]
    logs = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], logs
    assert "epoch 3/3" in "".join(logs)

    shown = json.loads(look("study", "show", "stripes", "--json"))
    assert shown["finished"] == 4
    assert shown["state"] == "finished"
    assert set(shown["best"]["params"]) == {"lambda_s", "tau", "batch_size"}

    ordinary = optuna.load_study(
        study_name="stripes", storage=database.render_as_string(hide_password=False)
    )
    # Not always Optuna's best trial: the winner is what is expected to be best.
    assert shown["best"]["params"] in [trial.params for trial in ordinary.trials]

    run("retrain", "stripes", "--seeds", "3")
    run("worker", "--device", "cpu", "--drain", "--study", "stripes-retrain")

    folder = tmp_path / "report"
    printed = run("report", "stripes", "--out", str(folder)).stdout
    assert "on the test classes" in printed
    assert "R@32" in printed
    (report,) = json.loads((folder / "report.json").read_text())["studies"]
    assert [one["role"] for one in report["retrained"]] == ["tuned"]
    tuned = report["retrained"][0]
    assert tuned["parameters"] == shown["best"]["params"]
    assert set(tuned["recall"]) == {"1", "2", "4", "8", "16", "32"}
    assert tuned["recall"]["1"]["n"] == 3
    page = read_page((folder / "report.html").read_text())
    assert "Verdict" in [one.text for one in page.all("h2")]
    assert "± " in page.text

    # The kept model gives the figure that its trial told.
    (model,) = (tmp_path / "checkpoints").glob("stripes-retrain-*/0.pt")
    row = ("--checkpoint", str(model), "--dataset", "folder:stripes", "--device", "cpu")
    evaluated = look("evaluate", *row).splitlines()
    told = 100 * tuned["scores"][0]
    assert dict(zip(evaluated[0].split(), evaluated[1].split()[1:], strict=True))["R@1"] == (
        f"{told:.1f}"
    )
    table = list(csv.DictReader(io.StringIO(look("study", "export", "stripes"))))
    assert [row["number"] for row in table] == ["0", "1", "2", "3"]
