"""Checkpoints in an S3-style store, from the worker to the exported model."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from optuna.trial import TrialState

from histsearch.database.storage import Storage
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study
from histsearch.studies.store_keys import embeddings_key, model_key
from histsearch.studies.trial_embeddings import trial_embeddings
from tests.acceptance.processes import Run, Start
from tests.waiting import wait_until

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "something",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A store that speaks S3, with a bucket "models"."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_killed_worker_is_replaced_and_its_model_exported_from_s3(
    run: Run,
    start: Start,
    environment: dict[str, str],
    stripes_file: Path,
    endpoint: str,
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
    environment |= {**access, "HISTSEARCH_CHECKPOINTS": "s3://models/ours"}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket="models")

    stripes_file.write_text(stripes_file.read_text().replace("epochs = 3", "epochs = 20"))
    run("study", "create", str(stripes_file), "--trials", "1")
    worker = start("worker", "--device", "cpu", "--heartbeat", "0.2")
    assert worker.stdout is not None
    lines = iter(worker.stdout.readline, "")
    assert any("epoch 2/" in line for line in lines)
    worker.kill()
    worker.wait()

    worker = start("worker", "--device", "cpu", "--heartbeat", "0.2")
    wait_until(lambda: find_study(storage, "stripes").is_finished, "the search")
    run("retrain", "stripes", "--seeds", "1")
    retraining = find_study(storage, "stripes-retrain")
    wait_until(lambda: retraining.is_finished, "the retraining")
    worker.terminate()
    log, _ = worker.communicate()
    assert "resumed after epoch" in log
    (trial,) = retraining.trials()
    model = f"ours/{model_key(retraining, 0)}"
    assert trial.user_attrs[trial_record.CHECKPOINT] == f"s3://models/{model}"
    embeddings = f"ours/{embeddings_key(retraining, 0)}"
    assert trial.user_attrs[trial_record.EMBEDDINGS] == f"s3://models/{embeddings}"

    def left() -> list[str]:
        return [item["Key"] for item in client.list_objects_v2(Bucket="models")["Contents"]]

    assert left() == [embeddings, model]  # what runs needed to go on is gone
    with monkeypatch.context() as patch:
        for name, value in access.items():
            patch.setenv(name, value)
        assert trial_embeddings(trial).hit_N.mean() == trial.value

    exported = tmp_path / "model.safetensors"
    run("export", "stripes-retrain/0", "--format", "safetensors", "--out", str(exported))
    description = json.loads(exported.with_name("model.safetensors.json").read_text())
    assert description["backbone"] == "conv4"
    run("study", "delete", "stripes-retrain", "--yes")
    assert left() == [model]


def test_a_bucket_that_does_not_exist_is_told_and_costs_no_trial(
    run: Run, environment: dict[str, str], stripes_file: Path, endpoint: str, storage: Storage
) -> None:
    environment |= {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
    run("study", "create", str(stripes_file), "--trials", "1")
    arguments = ("--device", "cpu", "--drain", "--checkpoints", "s3://nowhere")
    log = run("worker", *arguments, code=2).stderr
    assert "The checkpoint s3://nowhere/" in log
    assert "or name another place with --checkpoints" in log
    assert "Traceback" not in log
    study = find_study(storage, "stripes")
    assert study.count(TrialState.WAITING) == study.count()
