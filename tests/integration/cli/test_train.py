from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from histsearch.cli.main import app
from histsearch.data.cache_contents import kept_forms
from histsearch.exceptions import DeviceError, SpaceError
from histsearch.models.checkpoint import load_checkpoint
from histsearch.space.reading import builtin_spaces
from tests.miniatures import WRITERS

torch.set_num_threads(1)

QUICK = ["--epochs", "1", "--weights", "none", "--device", "cpu"]
SMALL = ["warmup_epochs=0", "batch_size=12", "embedding_size=8", "hgnn_hidden=8"]
INSHOP = (
    'name = "i"\ndataset = "inshop"\nbackbone = "{backbone}"\nepochs = 1\ntrials = 1\n[search]\n'
)


@pytest.mark.parametrize("backbone", ["resnet50", "bn_inception"])
@pytest.mark.parametrize("dataset", WRITERS)
def test_one_step_of_every_data_set_on_every_backbone(
    dataset: str, backbone: str, tmp_path: Path
) -> None:
    WRITERS[dataset](tmp_path)
    space = str(builtin_spaces().get(f"{dataset}-{backbone}", tmp_path / "inshop.toml"))
    (tmp_path / "inshop.toml").write_text(INSHOP.format(backbone=backbone) + "tau = [32]\n")
    done = CliRunner().invoke(
        app, ["train", "--space", space, "--data", str(tmp_path), *QUICK, *SMALL]
    )
    assert done.exit_code == 0, done.output
    assert "epoch 1/1  R@1 " in done.output
    assert "embedding_size=8" in done.output


@pytest.mark.parametrize(
    ("objective", "label"),
    [("r_at_1", "R@1"), ("r_at_7", "R@7"), ("map_at_r", "MAP@R"), ("r_precision", "R-Precision")],
)
def test_the_papers_protocol_ranks_inshop_queries_against_the_gallery(
    objective: str, label: str, tmp_path: Path
) -> None:
    WRITERS["inshop"](tmp_path)
    space = tmp_path / "inshop.toml"
    space.write_text(
        INSHOP.format(backbone="conv4")
        + f'tau = [32]\n[protocol]\nvalidation = "test"\nobjective = "{objective}"\n'
    )
    done = CliRunner().invoke(
        app,
        ["train", "--space", str(space), "--data", str(tmp_path), *QUICK, *SMALL],
    )
    assert done.exit_code == 0, done.output
    assert f"epoch 1/1  {label} " in done.output


def test_an_objective_by_which_every_model_scores_alike_is_refused(tmp_path: Path) -> None:
    WRITERS["inshop"](tmp_path)
    space = tmp_path / "inshop.toml"
    space.write_text(
        INSHOP.format(backbone="conv4")
        + 'tau = [32]\n[protocol]\nvalidation = "test"\nobjective = "r_at_8"\n'
    )
    done = CliRunner().invoke(
        app,
        ["train", "--space", str(space), "--data", str(tmp_path), *QUICK, *SMALL],
    )
    assert done.exit_code != 0
    assert str(done.exception) == (
        "found the objective R@8 where a test query ranks 8 images, needed: 9 or more, as every "
        "model scores alike with fewer; choose another objective, or add images"
    )


def test_values_come_from_the_command_then_the_queue_then_the_space(tmp_path: Path) -> None:
    WRITERS["cars196"](tmp_path)
    space = tmp_path / "space.toml"
    space.write_text(
        'name = "s"\ndataset = "cars196"\nbackbone = "conv4"\nepochs = 1\ntrials = 1\n'
        "[search]\ntau = [8, 16]\nalpha = [0.5, 1.0]\n"
        "[fixed]\nlr_step = 7\nbatch_size = 12\nembedding_size = 8\nhgnn_hidden = 8\n"
        "[[enqueue]]\ntau = 8\nalpha = 0.5\n"
    )
    arguments = ["train", "--space", str(space), "--data", str(tmp_path), "--device", "cpu"]
    printed = CliRunner().invoke(app, [*arguments, "tau=3", "lr_gamma=0.9"]).output
    for expected in ("tau=3.0", "alpha=0.5", "lr_step=7", "lr_gamma=0.9", "lambda_s=1.0"):
        assert expected in printed


def test_a_model_carries_the_input_that_it_was_trained_on(
    tmp_path: Path, data_dir: Path, stripes_file: Path
) -> None:
    model = tmp_path / "model.pt"
    arguments = ["train", "--space", str(stripes_file), "--data", str(data_dir), *QUICK]
    arguments += ["--out", str(model), "image_size=24", "flip=false"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for text in ("image_size=24", "min_crop_area=0.5", "flip=False"):
        assert text in done.output
    checkpoint = load_checkpoint(model)
    assert (checkpoint.preprocessing.crop, checkpoint.preprocessing.resize) == (24, 27)
    assert (
        checkpoint.metadata["hyperparameters"].items()
        >= {
            "image_size": 24,
            "min_crop_area": 0.5,
            "flip": False,
        }.items()
    )


def test_a_run_prints_the_same_with_the_images_on_the_device(
    data_dir: Path, stripes_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "histsearch")
    arguments = ["train", "--space", str(stripes_file), "--data", str(data_dir), *QUICK]
    printed = {}
    for choice in ("never", "auto", "always"):
        done = CliRunner().invoke(app, [*arguments, "--data-on-gpu", choice])
        assert done.exit_code == 0, done.output
        printed[choice] = done.output.partition("  loss")[0]
        assert ("which cuts the training crops" in caplog.text) == (choice == "always")
    assert printed["always"] == printed["auto"] == printed["never"]


def test_an_image_size_that_the_network_cannot_take_is_refused(
    tmp_path: Path, data_dir: Path, stripes_file: Path
) -> None:
    model = tmp_path / "model.pt"
    arguments = ["train", "--space", str(stripes_file), "--data", str(data_dir), *QUICK]
    done = CliRunner().invoke(app, [*arguments, "--out", str(model), "image_size=8"])
    assert done.exit_code == 1
    assert str(done.exception) == "image_size: found 8, allowed: for conv4 16 or more"
    assert not model.exists()


def test_a_loss_of_the_library_takes_values_from_the_command(tmp_path: Path) -> None:
    WRITERS["cars196"](tmp_path)
    space = tmp_path / "space.toml"
    space.write_text(
        'name = "s"\ndataset = "cars196"\nbackbone = "conv4"\nepochs = 1\ntrials = 1\n'
        'loss.name = "pml:SoftTripleLoss"\n[search]\nla = [10, 20]\n'
        "[fixed]\nbatch_size = 12\nembedding_size = 8\nwarmup_epochs = 0\n"
    )
    arguments = ["train", "--space", str(space), "--data", str(tmp_path), "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "la=12.5", "loss_lr_factor=1"])
    assert done.exit_code == 0, done.output
    for expected in ("la=12.5", "loss_lr_factor=1.0", "centers_per_class=10", "margin=0.01"):
        assert expected in done.output
    refused = CliRunner().invoke(app, [*arguments, "gama=0.2"])
    assert isinstance(refused.exception, SpaceError)
    assert 'found "gama", allowed: did you mean "gamma"?' in str(refused.exception)


@pytest.mark.parametrize(("command", "option"), [("train", "--space"), ("evaluate", "--dataset")])
def test_a_gpu_is_pinned_before_a_name_is_looked_up(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that a name comes from may import torch."""

    def pin(_: object) -> str:
        raise DeviceError("pinned")

    monkeypatch.setattr(f"histsearch.cli.{command}.pin", pin)
    arguments = [command, option, "nowhere", "--device", "cpu"]
    model = ["--checkpoint", "nowhere"] if command == "evaluate" else []
    done = CliRunner().invoke(app, [*arguments, *model])
    assert str(done.exception) == "pinned"


def test_train_and_evaluate_keep_the_images_that_each_needs(
    stripes_file: Path, data_dir: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        cache = ("--image-cache", str(tmp_path / "images"), "--image-cache-limit", limit)
        done = CliRunner().invoke(
            app, [*arguments, "--data", str(data_dir), "--device", "cpu", *cache]
        )
        assert done.exit_code == 0, done.output
        return done.output

    def kept() -> list[tuple[str, str, int]]:
        return [(one.dataset, one.form, one.images) for one in kept_forms(tmp_path / "images")]

    limit = "0"
    model = str(tmp_path / "model.pt")
    train = ("train", "--space", str(stripes_file), "--epochs", "1")
    without = run(*train)
    assert kept() == []
    limit = "1MB"
    assert _scores(run(*train, "--out", model)) == _scores(without)
    # Of 6 classes of 8 images that train 2 validate, and 6 others test.
    assert kept() == [
        ("folder:stripes", "crop-36-32-bilinear", 16),
        ("folder:stripes", "whole", 48),
    ]
    table = run("evaluate", "--checkpoint", model)
    assert kept()[0] == ("folder:stripes", "crop-36-32-bilinear", 16 + 48)
    limit = "0"
    assert run("evaluate", "--checkpoint", model) == table


def _scores(output: str) -> list[str]:
    return [line.split("loss")[0] for line in output.splitlines() if line.startswith("epoch")]
