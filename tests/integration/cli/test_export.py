import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import torch
from moto.server import ThreadedMotoServer
from optuna.trial import TrialState
from torch.nn.functional import normalize
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.data.dataset import load_dataset
from histsearch.database.storage import Storage
from histsearch.exceptions import DataError, ExportError, StudyError, WeightsError
from histsearch.models.checkpoint import load_checkpoint
from histsearch.models.export import SUFFIXES
from histsearch.reports import evaluation
from histsearch.space.reading import load_space, parse_space
from histsearch.studies import trial_record
from histsearch.studies.catalog import create_search
from histsearch.studies.retraining import create_retraining
from histsearch.studies.study import Study
from histsearch.studies.trial_models import trial_model
from histsearch.training.evaluation import first_images
from tests.integration.claims import claim_next, claimed
from tests.miniatures import WRITERS
from tests.pages import read_page
from tests.unit.data.drawn_classes import draw_classes

torch.set_num_threads(1)

IN_S3 = "s3://models/ours/s-retrain/1.pt"
SPACE = """
name = "s"
dataset = "folder:stripes"
backbone = "conv4"
epochs = 1
trials = 1
[search]
batch_size = [16]
[fixed]
embedding_size = 16
hgnn_hidden = 16
bn_freeze = false
[protocol]
validation_fraction = 0.34
"""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def invoke_raising(*arguments: str) -> None:
    """The same for a command that is to be refused; what it raises is what users read."""
    CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "space.toml").write_text(SPACE)
    out = folder / "model.pt"
    space = str(folder / "space.toml")
    done = invoke(
        "train", "--space", space, "--data", str(data_dir), "--device", "cpu", "--out", str(out)
    )
    assert done.exit_code == 0, done.output
    return out


def test_a_trained_model_is_evaluated_with_every_column(trained: Path, data_dir: Path) -> None:
    done = invoke(
        *("evaluate", "--checkpoint", str(trained), "--dataset", "folder:stripes"),
        *("--data", str(data_dir), "--device", "cpu"),
    )
    header, row = done.output.splitlines()
    columns = header.split()
    assert columns == ["R@1", "R@2", "R@4", "R@8", "R@16", "R@32", "NMI", "R-Precision", "MAP@R"]
    figures = [float(figure) for figure in row.split()[1:]]
    assert row.startswith("model.pt")
    assert len(figures) == len(columns)
    assert all(0 <= figure <= 100 for figure in figures)
    assert figures[:6] == sorted(figures[:6])


def test_a_class_with_one_image_caps_the_figures_with_a_warning(
    trained: Path, tmp_path: Path
) -> None:
    draw_classes(tmp_path / "own", [2, 2, 2, 3, 1, 2])
    assert evaluated(str(trained), tmp_path, "--dataset", "folder:own").stderr == (
        "warning: 1 of 6 test images have no other image of their class and always miss, so no "
        "score can exceed 83.33%; add images, or leave such classes out\n"
    )


@pytest.fixture(scope="module")
def onnx_file(trained: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="needs the extra histsearch[export]")
    out = tmp_path_factory.mktemp("onnx") / "model.onnx"
    done = invoke(
        *("export", str(trained), "--format", "onnx", "--out", str(out), "--data", str(data_dir))
    )
    assert done.exit_code == 0, done.output
    return out


def test_an_onnx_file_gives_the_models_embeddings_of_real_images(
    trained: Path, data_dir: Path, onnx_file: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra histsearch[export]")
    checkpoint = load_checkpoint(trained)
    images = load_dataset("folder:stripes", data_dir).test
    batch_N3HW = first_images(images, checkpoint.preprocessing, 5)
    with torch.no_grad():
        expected_ND = normalize(checkpoint.network(batch_N3HW)).numpy()
    session = onnxruntime.InferenceSession(str(onnx_file))
    (given_ND,) = session.run(None, {session.get_inputs()[0].name: batch_N3HW.numpy()})
    np.testing.assert_allclose(given_ND, expected_ND, atol=1e-4)


def figures(done: Result) -> dict[str, float]:
    """R@K and the other figures that ``evaluate`` printed, by column."""
    assert done.exit_code == 0, done.output
    header, row = done.stdout.splitlines()
    return dict(zip(header.split(), map(float, row.split()[1:]), strict=True))


def evaluated(model: str, data_dir: Path, *options: str) -> Result:
    on_cpu = ("--data", str(data_dir), "--device", "cpu")
    return invoke("evaluate", "--checkpoint", model, *on_cpu, *options)


@pytest.mark.parametrize("file_format", ["safetensors", "torchscript", "onnx"])
def test_an_exported_model_has_the_figures_of_the_model_it_came_from(
    trained: Path, data_dir: Path, tmp_path: Path, file_format: str, request: pytest.FixtureRequest
) -> None:
    if file_format == "onnx":
        file: Path = request.getfixturevalue("onnx_file")
    else:
        assert (
            invoke(
                "export", str(trained), "--format", file_format, "--out", str(tmp_path)
            ).exit_code
            == 0
        )
        file = tmp_path / f"model{SUFFIXES[file_format]}"
    done = evaluated(str(file), data_dir)  # on the data set that the JSON file names
    expected = figures(evaluated(str(trained), data_dir, "--dataset", "folder:stripes"))
    # Embeddings differ in their last bits, which may swap two neighbours.
    assert figures(done) == pytest.approx(expected, abs=2.1)
    assert done.stdout.splitlines()[1].startswith(file.name)
    assert done.stderr == ""


def test_an_exported_safetensors_file_is_exported_further(trained: Path, tmp_path: Path) -> None:
    weights, script = tmp_path / "a.safetensors", tmp_path / "b.pt"
    export = ("export", "--format")
    assert invoke(*export, "safetensors", str(trained), "--out", str(weights)).exit_code == 0
    assert invoke(*export, "torchscript", str(weights), "--out", str(script)).exit_code == 0
    with pytest.raises(
        ExportError, match=r"b\.pt, an exported file without separate weights; give"
    ):
        invoke_raising(
            *export, "safetensors", str(script), "--out", str(tmp_path / "c.safetensors")
        )


def test_a_model_without_a_digest_is_evaluated_with_a_note(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.pt"
    torch.save(torch.load(trained, weights_only=True), old)
    assert "carries no digest" in evaluated(str(old), data_dir).stderr
    assert evaluated(str(trained), data_dir).stderr == ""


def test_a_model_that_does_not_tell_its_data_set_needs_one(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    content = torch.load(trained, weights_only=True)
    del content["histsearch"]["dataset"]
    torch.save(content, tmp_path / "anonymous.pt")
    with pytest.raises(
        WeightsError, match=r"anonymous\.pt doesn't tell its data set; name one with"
    ):
        invoke_raising(
            *("evaluate", "--checkpoint", str(tmp_path / "anonymous.pt"), "--device", "cpu"),
            *("--data", str(data_dir)),
        )


@pytest.mark.parametrize("command", ["export", "evaluate"])
@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("x.pt", r"found no file .*/x\.pt; give the path of a model's file, or a .* STUDY/NUMBER"),
        ("no/folder/x.pt", r"found no file .*/no/folder/x\.pt; give"),
        (5000 * "x", "found no file .{,200}…; give the path"),
        ("models", 'found ".*/models", a folder; give the path'),
        ("empty.pt", r"empty\.pt' can't be read: it's empty"),
        ("pipe.pt", r"pipe\.pt' can't be read: it's no regular file"),
        ("text.pt", r"text\.pt' can't be read: it's damaged, of another format"),
        ("cut.pt", r"cut\.pt' is damaged: its digest"),
    ],
)
def test_a_file_that_is_no_model_is_refused_by_name(
    trained: Path, tmp_path: Path, command: str, file: str, sentence: str
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("hello world\n")
    (tmp_path / "cut.pt").write_bytes(trained.read_bytes()[:-1])
    os.mkfifo(tmp_path / "pipe.pt")
    options = {
        "export": ("export", "--format", "safetensors", "--out", str(tmp_path)),
        "evaluate": ("evaluate", "--dataset", "glyphs", "--device", "cpu", "--checkpoint"),
    }
    with pytest.raises(WeightsError, match=sentence):
        invoke_raising(*options[command], str(tmp_path / file))


def test_more_memory_than_there_is_is_told_as_such(
    trained: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(evaluation, "embed_images", embed)
    with pytest.raises(WeightsError, match=r"out of memory with the images of 32×32 pixels that"):
        invoke_raising(
            *("evaluate", "--checkpoint", str(trained), "--device", "cpu"),
            *("--data", str(data_dir)),
        )


@pytest.fixture
def retrained(storage: Storage, trained: Path) -> Study:
    """A retraining with three seeds: one model in a file, one in an S3 store, one not kept."""
    search = create_search(storage, load_space(str(trained.parent / "space.toml")))
    claim = claimed(search)
    claim.record({}, {1: 0.5})
    claim.tell(TrialState.COMPLETE, 0.5)
    retraining = create_retraining(search, seeds=3)
    for place in (str(trained), IN_S3, None):
        claim = claimed(retraining)
        kept = {} if place is None else {trial_record.CHECKPOINT: place}
        recall = {trial_record.RECALL: {"1": 0.5}, trial_record.WORKER: "node7-cpu-1"}
        claim.record(recall | kept)
        claim.tell(TrialState.COMPLETE, 0.5)
    return retraining


def test_a_retrained_trial_is_named_found_evaluated_and_exported(
    retrained: Study,
    trained: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = retrained.storage.url.render_as_string(hide_password=False)
    monkeypatch.setenv("HISTSEARCH_STORAGE", url)
    first = f"model:     s-retrain/0: tuned #0, seed 1000000: {trained} on node7-cpu-1\n"
    second = f"model:     s-retrain/1: tuned #0, seed 1000001: {IN_S3}\n"
    third = "model:     s-retrain/2: tuned #0, seed 1000002: could not be kept\n"
    assert invoke("study", "show", "s-retrain").stdout.endswith(first + second + third)
    assert "model:" not in invoke("study", "show", "s").stdout
    shown = json.loads(invoke("study", "show", "s-retrain", "--json").stdout)
    assert [model["place"] for model in shown["models"]] == [str(trained), IN_S3, None]

    report = invoke("report", "s", "--out", str(tmp_path))
    line = f"s-retrain/0: tuned #0, seed 1000000: {trained} on node7-cpu-1\n"
    assert f"model {line}" in report.stdout
    assert line.strip() in read_page((tmp_path / "report.html").read_text()).text
    (written,) = json.loads((tmp_path / "report.json").read_text())["studies"]
    assert written["models"] == shown["models"]

    # A folder of that name is no model: the states of a study's trials lie in one.
    (tmp_path / "s-retrain" / "0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    done = evaluated("s-retrain/0", data_dir)
    assert figures(done) == figures(evaluated(str(trained), data_dir))
    assert done.stdout.splitlines()[1].startswith("s-retrain/0 ")
    out = str(tmp_path / "model.safetensors")
    assert invoke("export", "s-retrain/0", "--format", "safetensors", "--out", out).exit_code == 0


@pytest.fixture
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store that speaks S3, with a bucket "models"."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    yield client
    server.stop()


def test_a_damaged_model_in_an_s3_store_is_refused_by_its_address(
    retrained: Study, trained: Path, data_dir: Path, s3_store: Any
) -> None:
    url = retrained.storage.url.render_as_string(hide_password=False)
    content = bytearray(trained.read_bytes())
    s3_store.put_object(Bucket="models", Key="ours/s-retrain/1.pt", Body=bytes(content))
    assert figures(evaluated("s-retrain/1", data_dir, "--storage", url))
    content[len(content) // 2] ^= 1
    s3_store.put_object(Bucket="models", Key="ours/s-retrain/1.pt", Body=bytes(content))
    with pytest.raises(WeightsError, match=f"'{IN_S3}' is damaged: its digest"):
        invoke_raising(
            *("evaluate", "--checkpoint", "s-retrain/1", "--storage", url, "--device", "cpu")
        )


def test_a_torchscript_file_runs_without_the_project(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    done = invoke("export", str(trained), "--format", "torchscript", "--out", str(out))
    assert done.exit_code == 0, done.output
    description = json.loads(out.with_name("model.pt.json").read_text())
    side = description["preprocessing"]["crop"]
    module = torch.jit.load(str(out))  # type: ignore[no-untyped-call]
    embeddings_ND = module(torch.rand(3, 3, side, side))
    torch.testing.assert_close(embeddings_ND.norm(dim=1), torch.ones(3))


def test_an_onnx_file_without_images_to_check_it_on_is_refused(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="stripes"):
        CliRunner().invoke(
            app,
            ["export", str(trained), "--format", "onnx", "--out", str(tmp_path), "--data", "none"],
            catch_exceptions=False,
        )


@pytest.mark.parametrize(
    ("trial", "sentence"),
    [
        ("s", "allowed: STUDY/NUMBER"),
        ("s/first", "allowed: STUDY/NUMBER"),
        ("other/0", 'no study "other"'),
        ("s/7", "no trial 7"),
        ("s/0", "found no model of s/0"),
    ],
)
def test_a_trial_without_a_model_is_refused(storage: Storage, trial: str, sentence: str) -> None:
    table = {
        "name": "s",
        "dataset": "glyphs",
        "backbone": "conv4",
        "epochs": 1,
        "trials": 1,
        "search": {"tau": [8]},
    }
    claim_next(create_search(storage, parse_space(table, source="test")))
    with pytest.raises(StudyError, match=sentence), trial_model(storage, trial):
        pass


def test_an_export_never_replaces_a_file(trained: Path) -> None:
    content = trained.read_bytes()
    same = str(trained.parent)  # where the file would be called model.pt, as its source is
    with pytest.raises(ExportError, match="already"):
        CliRunner().invoke(
            app,
            ["export", str(trained), "--format", "torchscript", "--out", same],
            catch_exceptions=False,
        )
    assert trained.read_bytes() == content


def test_a_model_that_cannot_be_saved_is_refused_before_the_training(
    trained: Path, tmp_path: Path, data_dir: Path
) -> None:
    (tmp_path / "file").touch()
    space = str(trained.parent / "space.toml")
    arguments = ["train", "--space", space, "--data", str(data_dir), "--device", "cpu", "--out"]
    with pytest.raises(WeightsError, match="can't save"):
        CliRunner().invoke(
            app, [*arguments, str(tmp_path / "file" / "model.pt")], catch_exceptions=False
        )
    refused = CliRunner().invoke(app, [*arguments, str(tmp_path)])
    assert refused.exit_code == 2
    assert "epoch" not in refused.output


def test_figures_on_part_of_a_data_set_come_with_a_warning(trained: Path, tmp_path: Path) -> None:
    WRITERS["cub200"](tmp_path)
    done = invoke(
        *("evaluate", "--checkpoint", str(trained), "--dataset", "cub200"),
        *("--data", str(tmp_path), "--device", "cpu"),
    )
    assert done.exit_code == 0
    assert "warning: cub200 isn't whole here" in done.stderr
