import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from histsearch.cli.main import main
from histsearch.space.reading import parse_space
from histsearch.training.run_inputs import load_images
from tests.unit.data.drawn_classes import draw_classes

SKIPPED = "skipped 1 file: 1 .heic (such as b/photo.heic); images are read from"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with ``own``, four classes of two images and a file in another format."""
    for name in "abcd":
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGBA", (4, 4)).save(tmp_path / "own" / name / f"{number}.tif")
    (tmp_path / "own" / "b" / "photo.heic").touch()
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["histsearch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_verify_says_what_was_skipped(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "data", "verify", "folder:own", "--data", str(data_dir)) == 0
    printed = capsys.readouterr().out
    assert f"note: {SKIPPED}" in printed
    assert "all 8 image files can be read" in printed


def test_verify_tells_all_three_parts_and_what_they_can_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_classes(tmp_path / "own", [15] * 8 + [1] * 4 + [15] * 4)
    shutil.copy(tmp_path / "own/class00/0.png", tmp_path / "own/class12/copy.png")
    assert run(monkeypatch, "data", "verify", "folder:own", "--data", str(tmp_path)) == 0
    printed = capsys.readouterr()
    assert (
        "in a search with the usual protocol: training 90 images in 6 classes; validation 30 "
        "images in 2 classes; test 65 images in 8 classes; one validation image is worth 3.33 "
        "points, one test image 1.54\n"
    ) in printed.out
    assert "all 185 image files can be read" in printed.out
    warnings = printed.err.splitlines()
    assert len(warnings) == 4
    assert warnings[0].startswith("warning: 30 validation images in 2 classes are too few to rank")
    assert warnings[1].startswith("warning: 4 of 65 test images have no other image of their")
    assert warnings[2].startswith("warning: 65 test images in 8 classes are too few to rank by")
    assert warnings[3].startswith("warning: 1 file is in the training and the test half: ")
    assert "no score can exceed 93.84%" in printed.err


def test_verify_tells_of_classes_too_few_for_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_classes(tmp_path / "own", [2] * 4)
    assert run(monkeypatch, "data", "verify", "folder:own", "--data", str(tmp_path)) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(
        "warning: with the usual protocol no worker takes it: Holding out 0.25 of 2 training"
    )


def test_verify_names_a_fifo_and_the_images_that_have_no_right_reading(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = data_dir / "own" / "a" / "0.tif"
    pipe.unlink()
    os.mkfifo(pipe)
    float_grey = data_dir / "own" / "c" / "1.tif"
    Image.new("F", (4, 4)).save(float_grey)
    assert run(monkeypatch, "data", "verify", "folder:own", "--data", str(data_dir)) == 2
    refused = capsys.readouterr().err
    assert f"1 of 8 images aren't plain files: {pipe} (a FIFO)" in refused
    assert "missing" not in refused
    assert f"1 of 7 images can't be read: {float_grey} (floating-point grey" in refused


def test_a_worker_says_what_was_skipped(
    data_dir: Path, stripes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    space = parse_space({**stripes, "dataset": "folder:own"}, source="test")
    for on_bad_image in ("fail", "skip"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "histsearch"):
            dataset = load_images(
                space.model_copy(update={"on_bad_image": on_bad_image}), data_dir, 0
            )
        (message,) = caplog.messages
        assert message.startswith(f"folder:own: {SKIPPED}")
        assert len(dataset.remarks) == 1


@pytest.fixture
def cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str]]:
    """Runs a command on the image cache below ``images``; its exit code, and what it printed."""

    def command(*arguments: str) -> tuple[object, str]:
        kept = ("--image-cache", str(tmp_path / "images"))
        code = run(monkeypatch, "data", "cache", *arguments, *kept)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return command


def test_decoded_images_are_built_checked_listed_and_removed(
    tmp_path: Path, cache: Callable[..., tuple[object, str]]
) -> None:
    folder = tmp_path / "images"
    draw_classes(tmp_path / "own", [3] * 6)
    named = ("build", "folder:own", "--data", str(tmp_path))
    assert cache("info") == (0, f"no decoded images in {folder}\n")
    assert cache(*named) == (0, "folder:own (whole): decoded 9 images, 9 are kept\n")
    assert cache(*named) == (0, "folder:own (whole): 9 images are kept already, and whole\n")
    code, printed = cache(*named, "--image-size-cap", "4")
    assert (code, printed) == (0, "folder:own (whole-4): decoded 9 images, 9 are kept\n")
    code, printed = cache("info")
    assert code == 0
    assert [line.split()[:4] for line in printed.splitlines()[1:3]] == [
        ["folder:own", str(tmp_path), form, "9"] for form in ("whole", "whole-4")
    ]

    (file,) = folder.glob("*/whole.*.pixels")
    file.write_bytes(b"\xff" * file.stat().st_size)
    code, printed = cache(*named)
    assert code == 2
    assert "folder:own (whole): found 9 damaged images among the 9 that are kept decoded" in printed
    code, printed = cache("clear", "folder:own")
    assert code == 0
    assert printed.startswith("removed ")
    assert list(folder.iterdir()) == []


def test_decoded_images_whose_index_is_damaged_are_removed_by_their_name(
    tmp_path: Path, cache: Callable[..., tuple[object, str]]
) -> None:
    folder = tmp_path / "images"
    for name in ("own", "others"):
        draw_classes(tmp_path / name, [2] * 4)
        cache("build", f"folder:{name}", "--data", str(tmp_path))
    (index,) = folder.glob("folder-own-*/whole.index")
    index.write_text("garbage")
    kept = "kept are those of: folder-own, folder:others"
    assert cache("clear", "nosuch") == (
        2,
        f'error: found no decoded images of "nosuch" in {folder}, {kept}\n',
    )
    assert "folder-own" in cache("info")[1]
    code, printed = cache("clear", "folder:own")
    assert (code, printed.startswith("removed ")) == (0, True)
    assert not list(folder.glob("folder-own-*"))
    assert cache("clear", "folder:own")[0] == 2
    assert "folder:others" in cache("info")[1]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (
            "0.4kB",
            "error: the decoded images of folder:own can't be kept: 9 images would take some",
        ),
        ("much", 'error: found --image-cache-limit "much", allowed: a size such as 500MB, 20GB or'),
    ],
)
def test_decoded_images_that_can_not_be_kept_are_an_error_of_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: str,
    sentence: str,
) -> None:
    draw_classes(tmp_path / "own", [3] * 6)
    arguments = ("folder:own", "--data", str(tmp_path), "--image-cache-limit", limit)
    options = ("--image-cache", str(tmp_path / "images"))
    assert run(monkeypatch, "data", "cache", "build", *arguments, *options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(sentence)
    assert len(printed.splitlines()) == 1


def test_a_data_set_without_files_has_nothing_to_keep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "data", "cache", "build", "glyphs") == 0
    assert "there is no file to decode" in capsys.readouterr().out
