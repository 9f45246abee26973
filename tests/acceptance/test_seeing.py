"""What a user sees of a running service."""

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import Run, Start
from tests.waiting import wait_until

FIELDS_OF_AN_ENDED_TRIAL = {"study", "trial", "attempt", "outcome", "worker", "time", "message"}


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    return number


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def ended(log: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if line.get("event") == "ended"]


def test_a_json_log_has_one_line_a_trial_with_its_outcome(run: Run, stripes_file: Path) -> None:
    run("study", "create", str(stripes_file), "--trials", "2")
    done = run("worker", "--device", "cpu", "--drain", "--log-format", "json")
    lines = ended(done.stderr)
    assert [(line["study"], line["trial"]) for line in lines] == [("stripes", 0), ("stripes", 1)]
    assert all(line.keys() >= FIELDS_OF_AN_ENDED_TRIAL for line in lines)
    assert {line["outcome"] for line in lines} == {"complete"}


def test_the_last_line_of_a_json_log_is_json_too(run: Run, stripes_file: Path) -> None:
    text = stripes_file.read_text().replace("folder:stripes", "folder:nowhere")
    stripes_file.write_text(text)
    run("study", "create", str(stripes_file))
    refused = run("worker", "--device", "cpu", "--drain", "--log-format", "json", code=2)
    last = json.loads(refused.stderr.splitlines()[-1])
    assert last["level"] == "ERROR"
    assert "nowhere" in last["message"]


@pytest.mark.usefixtures("storage")
def test_status_and_metrics_follow_a_worker(
    run: Run, start: Start, stripes_file: Path, port: int
) -> None:
    assert "no studies yet" in run("status").stdout
    stripes_file.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 10000"))
    run("study", "create", str(stripes_file))
    worker = start(
        *("worker", "--device", "cpu", "--heartbeat", "0.2", "--metrics-port", str(port))
    )
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any("epoch 2/" in line for line in lines)

    def shown() -> Any:
        return json.loads(run("status", "--json").stdout)

    wait_until(lambda: (shown()["workers"][0]["epoch"] or 0) >= 2, "the second epoch in status")
    status = shown()
    (study,), (seen,) = status["studies"], status["workers"]
    assert (study["name"], study["trials"], study["budget"]) == ("stripes", {"RUNNING": 1}, 3)
    assert study["hours"] > 0
    left = study["time_left"]
    assert 0 < left["probable_seconds"] <= left["at_most_seconds"]
    assert left["workers"] == 1
    assert (seen["study"], seen["trial"], seen["epochs"]) == ("stripes", 0, 10000)
    assert seen["state"] == "training"
    assert seen["host"] == socket.gethostname()
    assert seen["process_id"] == worker.pid
    assert seen["images_per_second"] > 0
    assert seen["memory_mib"] > 0
    assert seen["silent_seconds"] < 30
    screen, shown_study = run("status").stdout, run("study", "show", "stripes").stdout
    assert re.search(r"stripes +open +0/3 +1 .* \d+ (s|min|h|d)\b", screen)
    assert re.search(r"\ntime left: about .*, with 1 worker\n", shown_study)
    assert "training stripes #0" in screen

    found = metrics(port)
    assert found['histsearch_epochs_total{study="stripes"}'] >= 2
    assert 0 < found['histsearch_validation_score{objective="R@1",study="stripes"}'] <= 1
    assert found["histsearch_database_away"] == 0

    worker.kill()
    wait_until(lambda: shown()["workers"][0]["state"] == "gone", "the worker's death in status")
    assert "gone, was training stripes #0" in run("status").stdout


def test_metrics_are_off_unless_asked_for_and_on_this_machine_alone(
    start: Start, port: int
) -> None:
    worker = start("worker", "--device", "cpu", "--metrics-port", str(port))
    assert worker.stdout is not None
    assert any("waiting for work" in line for line in worker.stdout)
    metrics(port)
    elsewhere = socket.gethostbyname(socket.gethostname())
    if not elsewhere.startswith("127."):
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://{elsewhere}:{port}/metrics", timeout=5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_metrics_port_in_use_is_one_sentence(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        refused = run("worker", "--device", "cpu", "--metrics-port", number, code=2)
    assert refused.stderr.count("error: ") == 1
    assert f"127.0.0.1:{number}" in refused.stderr.splitlines()[-1]


def test_watching_as_json_is_refused(run: Run) -> None:
    assert "can't be combined" in run("status", "--watch", "--json", code=2).stderr


def test_a_dry_run_that_is_interrupted_leaves_nothing(
    start: Start, stripes_file: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    home = tmp_path / "home"
    environment |= {"HISTSEARCH_HOME": str(home), "HISTSEARCH_IMAGE_CACHE": str(home / "images")}
    environment |= {"HISTSEARCH_STORAGE": "", "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    dry = start("study", "create", str(stripes_file), "--dry-run", "--device", "cpu")
    assert dry.stdout is not None
    assert any("timing batches" in line for line in iter(dry.stdout.readline, ""))
    dry.send_signal(signal.SIGINT)
    assert dry.wait(timeout=60) != 0
    assert "Traceback" not in dry.stdout.read()
    assert not home.exists()
    left = [one.name for one in (tmp_path / "temporary").iterdir()]
    assert [name for name in left if not name.startswith("torchinductor_")] == []  # torch's own
