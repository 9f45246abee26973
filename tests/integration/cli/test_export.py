import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from typer.testing import CliRunner, Result

from histsearch.cli.main import app
from histsearch.data.dataset import load_dataset
from histsearch.database.storage import Storage
from histsearch.exceptions import DataError, ExportError, StudyError, WeightsError
from histsearch.models.checkpoint import load_checkpoint
from histsearch.models.transforms import test_transform as transform_for_test
from histsearch.search.space import parse_space
from histsearch.studies.catalog import create_search
from histsearch.studies.checkpoints import trial_checkpoint
from tests.integration.claims import claim_next
from tests.miniatures import WRITERS

torch.set_num_threads(1)

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
    assert columns == ["R@1", "R@2", "R@4", "R@8", "R@16", "R@32", "NMI", "RP", "MAP@R"]
    figures = [float(figure) for figure in row.split()[1:]]
    assert row.startswith("model.pt")
    assert len(figures) == len(columns)
    assert all(0 <= figure <= 100 for figure in figures)
    assert figures[:6] == sorted(figures[:6])


def test_an_onnx_file_gives_the_models_embeddings_of_real_images(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra histsearch[export]")
    out = tmp_path / "model.onnx"
    done = invoke(
        *("export", str(trained), "--format", "onnx", "--out", str(out), "--data", str(data_dir))
    )
    assert done.exit_code == 0, done.output
    checkpoint = load_checkpoint(trained)
    images = load_dataset("folder:stripes", data_dir).test
    transform = transform_for_test(checkpoint.preprocessing)
    batch_N3HW = torch.stack([transform(images.image(i)) for i in range(5)])
    with torch.no_grad():
        expected_ND = normalize(checkpoint.network(batch_N3HW)).numpy()
    session = onnxruntime.InferenceSession(str(out))
    (given_ND,) = session.run(None, {session.get_inputs()[0].name: batch_N3HW.numpy()})
    np.testing.assert_allclose(given_ND, expected_ND, atol=1e-4)


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
    with pytest.raises(StudyError, match=sentence), trial_checkpoint(storage, trial):
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
