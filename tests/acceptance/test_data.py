import sys
from dataclasses import replace
from pathlib import Path

import pytest

from histsearch.cli.main import main
from histsearch.data.known_datasets import DATASETS
from tests.acceptance.processes import Run
from tests.unit.data.official_archives import (
    SIZES,
    cub200_files,
    write_official_archives,
    write_tgz,
)


def test_a_miniature_archive_is_unpacked_and_its_shortfall_told_exactly(
    run: Run, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    (archive,) = write_official_archives("cub200", tmp_path)
    arguments = ("data", "prepare", "cub200", "--archive", str(archive), "--data", str(data_dir))
    refused = run(*arguments, code=2)
    assert refused.stdout.splitlines() == [
        f"unpacking {archive} into {data_dir}",
        "train:   4 images in 2 classes",
        "test:    4 images in 2 classes",
    ]
    assert refused.stderr.splitlines() == [
        f"error: cub200 in {data_dir} has faults:",
        "  train: 4 images in 2 classes, published are 5,864 images in 100 classes "
        "(5,860 images missing, 98 classes missing)",
        "  test: 4 images in 2 classes, published are 5,924 images in 100 classes "
        "(5,920 images missing, 98 classes missing)",
    ]
    assert len(list(data_dir.glob("CUB_200_2011/images/*/*.jpg"))) == 8
    again = run(*arguments, code=2)
    assert "unpacking" not in again.stdout
    assert again.stderr == refused.stderr


def test_an_archive_that_escapes_is_refused_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    archive = write_tgz(tmp_path / "CUB_200_2011.tgz", {**cub200_files(), "../../evil": b""})
    arguments = ("data", "prepare", "cub200", "--archive", str(archive), "--data", str(data_dir))
    refused = run(*arguments, code=2)
    assert "isn't safe to unpack, because of its member '../../evil'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(data_dir.iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_missing_archives_are_answered_with_where_they_were_looked_for(
    run: Run, tmp_path: Path
) -> None:
    refused = run("data", "prepare", "inshop", "--data", str(tmp_path), code=2)
    for part in ("no img.zip", "no list_eval_partition.txt", str(tmp_path / "archives")):
        assert part in refused.stderr
    assert "download what is missing from the data set's official page" in refused.stderr


def test_verify_names_the_images_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "own" / f"class{number // 2}" / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    refused = run("data", "verify", "folder:own", "--data", str(tmp_path), code=2)
    assert "train:   4 images in 2 classes" in refused.stdout
    assert "8 of 8 images can't be read" in refused.stderr
    assert str(tmp_path / "own" / "class0" / "1.bmp") in refused.stderr
    assert refused.stderr.endswith("and 3 more\n")


def test_verify_and_list_tell_what_is_there(run: Run) -> None:
    verified = run("data", "verify", "folder:stripes").stdout
    assert "train:   48 images in 6 classes" in verified
    assert "all 96 image files can be read" in verified
    assert "2,040 images in 102 classes" in run("data", "verify", "glyphs").stdout
    rows = dict(line.split(maxsplit=1) for line in run("data", "list").stdout.splitlines())
    assert rows["cub200"] == "missing"
    assert rows["folder:stripes"] == (
        "ready       train 48 images in 6 classes; test 48 images in 6 classes"
    )


@pytest.mark.parametrize("name", SIZES)
def test_a_whole_data_set_is_prepared_from_its_official_archives(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], published=SIZES[name]))
    write_official_archives(name, tmp_path / "archives")
    for command in ("prepare", "prepare", "verify"):
        arguments = ["histsearch", "data", command, name, "--data", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count("unpacking") == 1
    assert printed.count(f"{name} is ready in {tmp_path}") == 2
    assert f"{name} is whole: all " in printed
