from pathlib import Path

import pytest

from histsearch.data.dataset_record import Size
from histsearch.data.known_datasets import find_dataset, find_official_dataset
from histsearch.data.layouts import find_archives, missing_pieces, put_in_place
from histsearch.data.verification import inspect
from histsearch.exceptions import DataError
from tests.unit.data.official_archives import (
    INSHOP_LISTING,
    SIZES,
    cars196_files,
    cub200_files,
    inshop_files,
    sop_files,
    write_cars196_annotations,
    write_cars196_halves,
    write_official_archives,
    write_tgz,
    write_zip,
)


def prepare(name: str, data_dir: Path, archives: list[Path]) -> None:
    put_in_place(missing_pieces(find_official_dataset(name).layouts, data_dir), archives, data_dir)


@pytest.mark.parametrize("name", SIZES)
def test_official_archives_become_what_the_reader_expects(tmp_path: Path, name: str) -> None:
    archives = write_official_archives(name, tmp_path / "downloads")
    data_dir = tmp_path / "new" / "data"
    prepare(name, data_dir, archives)
    assert missing_pieces(find_official_dataset(name).layouts, data_dir) == []
    inspection = inspect(find_dataset(name), data_dir)
    assert inspection.sizes == SIZES[name]
    assert len(inspection.paths) == sum(size.images for size in SIZES[name].values())
    assert all(archive.is_file() for archive in archives)
    assert [path.name for path in data_dir.iterdir()] == [
        find_official_dataset(name).layouts[0][0].destination.parts[0]
    ]


@pytest.mark.parametrize("top", ["", "download/CUB_200_2011/", "birds/"])
def test_cub200_may_be_nested_otherwise(tmp_path: Path, top: str) -> None:
    archive = write_tgz(tmp_path / "birds.tar.gz", cub200_files(top))
    prepare("cub200", tmp_path, [archive])
    assert inspect(find_dataset("cub200"), tmp_path).sizes == SIZES["cub200"]


@pytest.mark.parametrize("top", ["", "cars/car_ims/"])
def test_cars196_may_be_nested_otherwise(tmp_path: Path, top: str) -> None:
    images = write_zip(tmp_path / "car_ims.zip", cars196_files(top))
    annotations = write_cars196_annotations(tmp_path / "cars_annos.mat")
    prepare("cars196", tmp_path, [images, annotations])
    assert len(inspect(find_dataset("cars196"), tmp_path).paths) == 4


def test_cars196_may_come_in_two_halves(tmp_path: Path) -> None:
    archives = write_cars196_halves(tmp_path / "archives")
    layouts = missing_pieces(find_official_dataset("cars196").layouts, tmp_path)
    assert sorted(find_archives(layouts, tmp_path)) == sorted(archives)
    prepare("cars196", tmp_path, archives)
    assert missing_pieces(find_official_dataset("cars196").layouts, tmp_path) == []
    inspection = inspect(find_dataset("cars196"), tmp_path)
    assert inspection.sizes == {"train": Size(2, 2), "test": Size(1, 2)}
    assert len(inspection.paths) == 4


def test_the_form_of_cars196_that_is_begun_is_the_one_asked_for(tmp_path: Path) -> None:
    archives = write_cars196_halves(tmp_path / "archives")
    archives[1].unlink()
    with pytest.raises(
        DataError, match=r"no car_ims\.tgz and no cars_annos\.mat; and for its other"
    ):
        find_archives(missing_pieces(find_official_dataset("cars196").layouts, tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"Expected a file cars_test_annos_withlabels\.mat"):
        prepare("cars196", tmp_path, [archives[0], *archives[2:]])
    (tmp_path / "cars196" / "cars_train").mkdir(parents=True)
    (tmp_path / "cars196" / "cars_train" / "00001.jpg").touch()
    with pytest.raises(
        DataError, match=r"There is no cars_test_annos_withlabels\.mat; and for its"
    ):
        find_archives(missing_pieces(find_official_dataset("cars196").layouts, tmp_path), tmp_path)


def test_a_piece_in_place_already_needs_no_archive(tmp_path: Path) -> None:
    (tmp_path / "cars196").mkdir()
    write_cars196_annotations(tmp_path / "cars196" / "cars_annos.mat")
    images = write_tgz(tmp_path / "car_ims.tgz", cars196_files())
    pieces = missing_pieces(find_official_dataset("cars196").layouts, tmp_path)
    assert find_archives(pieces, tmp_path) == [images]
    put_in_place(pieces, [images], tmp_path)
    assert len(inspect(find_dataset("cars196"), tmp_path).paths) == 4


def test_the_companion_folders_of_macos_are_passed_over(tmp_path: Path) -> None:
    companions = {f"__MACOSX/{name}": b"" for name in sop_files()}
    archive = write_zip(tmp_path / "a.zip", {**companions, **sop_files()})
    prepare("sop", tmp_path, [archive])
    assert inspect(find_dataset("sop"), tmp_path).sizes == SIZES["sop"]


@pytest.mark.parametrize(
    ("images", "listing"),
    [
        ("img/", "list_eval_partition.txt"),
        ("Img/img/", "Eval/list_eval_partition.txt"),
        ("In-shop/Img/", "In-shop/Anno/list_eval_partition.txt"),
    ],
)
def test_inshop_may_come_in_one_archive(tmp_path: Path, images: str, listing: str) -> None:
    files = {**inshop_files(images), listing: INSHOP_LISTING.encode()}
    prepare("inshop", tmp_path, [write_zip(tmp_path / "inshop.zip", files)])
    inspection = inspect(find_dataset("inshop"), tmp_path)
    assert inspection.sizes == SIZES["inshop"]
    assert len(inspection.paths) == 6


def test_the_official_folder_is_taken_beside_a_variant_of_it(tmp_path: Path) -> None:
    files = {**inshop_files("img_highres/"), **inshop_files("img/")}
    listing = tmp_path / "list_eval_partition.txt"
    listing.write_text(INSHOP_LISTING)
    prepare("inshop", tmp_path, [write_zip(tmp_path / "both.zip", files), listing])
    assert len(inspect(find_dataset("inshop"), tmp_path).paths) == 6


def test_two_candidates_are_refused_by_name_and_nothing_is_left(tmp_path: Path) -> None:
    files = {**cub200_files("old/birds/"), **cub200_files("new/birds/")}
    archive = write_tgz(tmp_path / "a.tgz", files)
    with pytest.raises(DataError, match=r"2 of that kind: a\.tgz/new/birds, a\.tgz/old/birds"):
        prepare("cub200", tmp_path, [archive])
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_of_something_else_is_told_by_what_it_holds(tmp_path: Path) -> None:
    archive = write_tgz(tmp_path / "a.tgz", {"segmentations/a.png": b"", "README": b""})
    with pytest.raises(DataError) as refused:
        prepare("cub200", tmp_path, [archive])
    assert "Expected a folder CUB_200_2011 that holds images/" in str(refused.value)
    assert "there is a.tgz/README, a.tgz/segmentations" in str(refused.value)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_error_in_the_second_archive_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    images = write_tgz(tmp_path / "car_ims.tgz", cars196_files())
    with pytest.raises(DataError, match=r"no file .*cars_annos\.mat"):
        prepare("cars196", tmp_path, [images, tmp_path / "cars_annos.mat"])
    assert list(tmp_path.iterdir()) == [images]


def test_what_lies_in_the_way_is_kept_and_named(tmp_path: Path) -> None:
    mine = tmp_path / "CUB_200_2011" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"CUB_200_2011 exists, but isn't .*move it away"):
        prepare("cub200", tmp_path, write_official_archives("cub200", tmp_path))
    assert mine.read_text() == "mine"


def test_archives_are_found_in_the_data_folder_or_its_subfolder(tmp_path: Path) -> None:
    pieces = missing_pieces(find_official_dataset("inshop").layouts, tmp_path)
    images, listing = write_official_archives("inshop", tmp_path / "archives")
    assert find_archives(pieces, tmp_path) == [images, listing]
    listing.unlink()
    with pytest.raises(DataError, match=r"no list_eval_partition.txt in .* or .*archives: downl"):
        find_archives(pieces, tmp_path)


def test_only_data_sets_with_archives_can_be_prepared() -> None:
    with pytest.raises(DataError, match=r"'glyphs' has no .*cub200, cars196, sop, inshop"):
        find_official_dataset("glyphs")
