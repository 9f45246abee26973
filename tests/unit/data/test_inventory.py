import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from histsearch.data.dataset_record import Size
from histsearch.data.inventory import State, take_inventory
from histsearch.data.known_datasets import DATASETS, find_official_dataset
from histsearch.data.layouts import missing_pieces, put_in_place
from tests.miniatures import write_sop
from tests.unit.data.drawn_classes import draw_classes
from tests.unit.data.official_archives import SIZES, write_official_archives


def states(data_dir: Path) -> dict[str, State]:
    return {entry.name: entry.state for entry in take_inventory(data_dir)}


NOTHING = {
    "glyphs": State.ready,
    "cub200": State.missing,
    "cars196": State.missing,
    "sop": State.missing,
    "inshop": State.missing,
}


def test_a_folder_that_does_not_exist_has_glyphs_alone(tmp_path: Path) -> None:
    assert states(tmp_path / "nowhere") == NOTHING


def test_official_data_sets_are_missing_incomplete_or_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        DATASETS,
        "sop",
        replace(DATASETS["sop"], published={"train": Size(8, 16), "test": Size(8, 16)}),
    )
    write_sop(tmp_path)
    archives = write_official_archives("cub200", tmp_path / "archives")
    put_in_place(
        missing_pieces(find_official_dataset("cub200").layouts, tmp_path), archives, tmp_path
    )
    entries = {entry.name: entry for entry in take_inventory(tmp_path)}
    assert entries["sop"].state == State.ready
    assert entries["cub200"].state == State.incomplete
    assert entries["cub200"].sizes == SIZES["cub200"]
    assert "5,860 images" in entries["cub200"].faults[0]
    assert entries["cars196"].state == State.missing


def test_a_data_set_with_one_of_its_pieces_is_incomplete(tmp_path: Path) -> None:
    (tmp_path / "cars196" / "car_ims").mkdir(parents=True)
    (tmp_path / "cars196" / "car_ims" / "000001.jpg").touch()
    (entry,) = [entry for entry in take_inventory(tmp_path) if entry.name == "cars196"]
    assert entry.state == State.incomplete
    assert "cars_annos.mat" in entry.faults[0]


def test_folders_of_classes_are_listed_and_others_are_not(tmp_path: Path, data_dir: Path) -> None:
    stripes = data_dir / "stripes"
    shutil.copytree(stripes, tmp_path / "stripes")
    shutil.copytree(stripes / "class00", tmp_path / "photos")
    shutil.copytree(stripes, tmp_path / "archives" / "unpacked")
    shutil.copytree(stripes, tmp_path / ".hidden")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "split.csv").write_text("class,split\nnone,train\n")
    (tmp_path / "empty").mkdir()
    found = states(tmp_path)
    assert found == NOTHING | {
        "folder:broken": State.incomplete,
        "folder:stripes": State.ready,
    }


def test_a_data_folder_of_classes_is_a_data_set_itself(data_dir: Path) -> None:
    assert states(data_dir / "stripes") == NOTHING | {"folder": State.ready}


@pytest.mark.parametrize(
    ("classes", "fault"),
    [
        (4, "Holding out 0.25 of 2 training classes leaves 2 for training and 0 for validation"),
        (10, "Holding out 0.25 of 5 training classes leaves 4 for training and 1 for validation"),
    ],
)
def test_classes_too_few_to_hold_out_are_not_ready(
    tmp_path: Path, classes: int, fault: str
) -> None:
    draw_classes(tmp_path / "few", [2] * classes)
    (entry,) = [entry for entry in take_inventory(tmp_path) if entry.name == "folder:few"]
    assert entry.state == State.too_small
    assert entry.faults[0].startswith(fault)


def test_what_a_data_set_can_not_tell_is_listed_with_it(tmp_path: Path) -> None:
    draw_classes(tmp_path / "own", [15] * 6 + [1, 3] * 3)
    (entry,) = [entry for entry in take_inventory(tmp_path) if entry.name == "folder:own"]
    assert entry.state == State.ready
    assert entry.warnings == (
        "30 validation images in 2 classes are too few to rank by, as one is worth 3.33 points; "
        "have at least 10 classes and 100 images",
        "3 of 12 test images have no other image of their class and always miss, so no score "
        "can exceed 75%; add images, or leave such classes out",
        "12 test images in 6 classes are too few to rank by, as one is worth 8.33 points; "
        "have at least 10 classes and 100 images",
    )


def test_images_of_which_none_has_another_of_its_class_are_not_ready(tmp_path: Path) -> None:
    draw_classes(tmp_path / "both", [1] * 12)
    draw_classes(tmp_path / "training", [1] * 6 + [2] * 6)
    for entry in take_inventory(tmp_path)[-2:]:
        assert entry.state == State.too_small
        assert "classes has one image, so no query finds another" in entry.faults[0]
