import shutil
from pathlib import Path

import pytest

from histsearch.data.inventory import State, take_inventory
from histsearch.data.layouts import missing_pieces, put_in_place
from histsearch.data.published import PUBLISHED
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
    monkeypatch.setitem(PUBLISHED, "sop", SIZES["sop"])
    for name in ("cub200", "sop"):
        archives = write_official_archives(name, tmp_path / "archives")
        put_in_place(missing_pieces(name, tmp_path), archives, tmp_path)
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
