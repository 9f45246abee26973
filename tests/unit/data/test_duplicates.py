import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from histsearch.data import duplicates as module
from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.duplicates import duplicates
from histsearch.data.glyphs import GLYPHS
from histsearch.data.image_set import ImageArrays, ImageSet
from tests.miniatures import write_inshop
from tests.unit.data.drawn_classes import draw_classes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Classes 0 to 5, of which 0 to 2 train, of three images each."""
    draw_classes(tmp_path, [3] * 6)
    return tmp_path


def image(folder: Path, label: int, number: int) -> Path:
    return folder / f"class{label:02d}" / f"{number}.png"


def test_copies_are_told_by_where_they_lie(folder: Path) -> None:
    assert duplicates(load_dataset("folder", folder)) == []
    for (label, number), copy in {
        (0, 0): image(folder, 4, 7),
        (1, 0): image(folder, 2, 7),
        (3, 0): image(folder, 5, 7),
        (3, 1): image(folder, 3, 7),
    }.items():
        shutil.copy(image(folder, label, number), copy)
    assert duplicates(load_dataset("folder", folder)) == [
        f"1 file is in the training and the test half: {image(folder, 0, 0)}={image(folder, 4, 7)}",
        "2 files are in more than one class: "
        f"{image(folder, 1, 0)}={image(folder, 2, 7)}, {image(folder, 3, 0)}={image(folder, 5, 7)}",
        "1 file is more than once in one class, where each copy finds another: "
        f"{image(folder, 3, 1)}={image(folder, 3, 7)}",
    ]


def test_many_copies_are_counted_and_the_first_few_named(folder: Path) -> None:
    for number in range(3):
        for label in (0, 1, 2):
            shutil.copy(image(folder, label, number), image(folder, label + 3, number))
    (sentence,) = duplicates(load_dataset("folder", folder))
    assert sentence.startswith("9 files are in the training and the test half: ")
    assert sentence.count("=") == 5
    assert sentence.endswith(" and 4 more")


def test_only_files_of_one_size_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    digest = module._digest

    def noted(path: Path) -> bytes | None:
        read.append(path)
        return digest(path)

    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.write_bytes(bytes(number + 1))
    image(folder, 5, 2).write_bytes(b"1")
    monkeypatch.setattr(module, "_digest", noted)
    assert duplicates(load_dataset("folder", folder)) == []
    assert read == [image(folder, 0, 0), image(folder, 5, 2)]


def test_files_that_hold_nothing_or_are_none_are_passed_over(folder: Path) -> None:
    dataset = load_dataset("folder", folder)
    for label in (0, 1):
        image(folder, label, 0).write_bytes(b"")
        image(folder, label, 1).unlink()
        image(folder, label, 2).unlink()
        os.mkfifo(image(folder, label, 2))
    assert duplicates(dataset) == []


def test_a_file_that_is_listed_twice_is_told(tmp_path: Path) -> None:
    write_inshop(tmp_path)
    root = tmp_path / "Inshop_Clothes"
    for number, path in enumerate(sorted((root / "Img").rglob("*.jpg"))):
        path.write_bytes(bytes(number + 1))
    listing = root / "Eval" / "list_eval_partition.txt"
    *_, query, gallery = (line.split() for line in listing.read_text().splitlines())
    listing.write_text(f"{listing.read_text()}{query[0]} {gallery[1]} gallery\n")
    path = root / "Img" / query[0]
    assert duplicates(load_dataset("inshop", tmp_path)) == [
        f"1 file is more than once in one class, where each copy finds another: {path}={path}"
    ]


def test_rendered_images_have_no_files() -> None:
    images = ImageSet(ImageArrays(np.zeros((2, 4, 4), dtype=np.uint8)), [0, 1], ["a", "b"])
    assert duplicates(Dataset(GLYPHS, images, images)) == []
