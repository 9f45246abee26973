import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from histsearch.data.dataset_record import Size
from histsearch.data.known_datasets import (
    DATASETS,
    find_dataset,
    find_official_dataset,
    official_datasets,
)
from histsearch.data.layouts import missing_pieces, put_in_place
from histsearch.data.verification import decoding_faults, inspect
from tests.unit.data.official_archives import SIZES, jpeg, write_official_archives


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the miniature data sets pass for the published ones."""
    for name, sizes in SIZES.items():
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], published=sizes))


def prepared(name: str, data_dir: Path) -> Path:
    archives = write_official_archives(name, data_dir / "archives")
    put_in_place(missing_pieces(find_official_dataset(name).layouts, data_dir), archives, data_dir)
    return data_dir


def test_every_official_data_set_has_its_published_sizes() -> None:
    totals = {
        record.name: tuple(map(sum, zip(*record.published.values(), strict=True)))
        for record in official_datasets()
    }
    # Each paper's totals; In-Shop counts the items of query and gallery once, 7,982 of them.
    assert totals == {
        "cub200": (200, 11_788),
        "cars196": (196, 16_185),
        "sop": (22_634, 120_053),
        "inshop": (7_982 + 3_985, 52_712),
    }


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", SIZES)
def test_a_data_set_of_the_published_sizes_has_no_fault(tmp_path: Path, name: str) -> None:
    assert inspect(find_dataset(name), prepared(name, tmp_path)).faults == ()


def test_a_difference_to_the_published_sizes_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"train": Size(2, 1_004), "test": Size(1, 3)}
    monkeypatch.setitem(DATASETS, "cub200", replace(DATASETS["cub200"], published=sizes))
    assert inspect(find_dataset("cub200"), prepared("cub200", tmp_path)).faults == (
        "train: 4 images in 2 classes, published are 1,004 images in 2 classes "
        "(1,000 images missing)",
        "test: 4 images in 2 classes, published are 3 images in 1 class "
        "(1 image extra, 1 class extra)",
    )


@pytest.mark.usefixtures("published")
def test_listed_images_that_are_gone_are_named(tmp_path: Path) -> None:
    root = prepared("sop", tmp_path) / "Stanford_Online_Products"
    gone = root / "bicycle_final" / "1_1.JPG"
    gone.unlink()
    inspection = inspect(find_dataset("sop"), tmp_path)
    assert inspection.faults == (f"1 of 5 listed images are missing: {gone}",)
    assert gone not in inspection.paths
    assert len(inspection.paths) == 4


@pytest.mark.usefixtures("published")
def test_cub200_is_compared_with_its_list(tmp_path: Path) -> None:
    root = prepared("cub200", tmp_path) / "CUB_200_2011" / "images"
    gone = root / "100.Pelican" / "1.jpg"
    added = gone.rename(root / "100.Pelican" / "copy.jpg")
    assert inspect(find_dataset("cub200"), tmp_path).faults == (
        f"1 of 8 listed images are missing: {gone}",
        f"1 of 8 images aren't listed: {added}",
    )


def test_cub200_without_its_list_is_counted_alone(tmp_path: Path) -> None:
    (prepared("cub200", tmp_path) / "CUB_200_2011" / "images.txt").unlink()
    assert [fault[:5] for fault in inspect(find_dataset("cub200"), tmp_path).faults] == [
        "train",
        "test:",
    ]


def test_many_missing_images_are_named_by_the_first_few(tmp_path: Path) -> None:
    root = prepared("inshop", tmp_path) / "Inshop_Clothes" / "Img"
    root.rename(tmp_path / "elsewhere")
    fault = inspect(find_dataset("inshop"), tmp_path).faults[-1]
    assert fault.startswith("6 of 6 listed images are missing: ")
    assert fault.count(".jpg") == 5
    assert fault.endswith(" and 1 more")


def test_own_images_have_no_published_sizes(data_dir: Path) -> None:
    inspection = inspect(find_dataset("folder:stripes"), data_dir)
    assert inspection.sizes == {"train": Size(6, 48), "test": Size(6, 48)}
    assert inspection.faults == ()


def test_what_is_no_plain_file_is_called_by_its_name(tmp_path: Path) -> None:
    root = prepared("sop", tmp_path) / "Stanford_Online_Products"
    gone, pipe, bound, folder = (
        root / name
        for name in (
            "bicycle_final/1_0.JPG",
            "bicycle_final/1_1.JPG",
            "chair_final/2_0.JPG",
            "chair_final/3_0.JPG",
        )
    )
    for path in (gone, pipe, bound, folder):
        path.unlink()
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        # The name of a socket has a length that pytest's folders may exceed.
        server.bind(f"/proc/self/fd/{os.open(bound.parent, os.O_RDONLY)}/{bound.name}")
    folder.mkdir()
    inspection = inspect(find_dataset("sop"), tmp_path)
    assert inspection.faults[-2:] == (
        f"1 of 5 listed images are missing: {gone}",
        f"3 of 5 images aren't plain files: {pipe} (a FIFO), {bound} (a socket), "
        f"{folder} (a folder)",
    )
    assert inspection.paths == (root / "chair_final/3_1.JPG",)


@pytest.mark.usefixtures("published")
def test_images_that_can_not_be_reached_are_not_called_missing(tmp_path: Path) -> None:
    images = prepared("sop", tmp_path) / "Stanford_Online_Products" / "chair_final"
    for path in images.iterdir():
        path.unlink()
    images.rmdir()
    # A link in a circle is refused to root as well.
    images.symlink_to(images.name)
    (fault,) = inspect(find_dataset("sop"), tmp_path).faults
    assert fault.startswith(f"3 of 5 images can't be reached: {images / '2_0.JPG'} (Too many ")


def test_truncated_and_foreign_files_are_named_in_order(tmp_path: Path) -> None:
    contents = {"whole": jpeg(64), "cut": jpeg(64)[:-400], "text": b"no image", "last": jpeg()}
    paths = [tmp_path / f"{name}.jpg" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    (fault,) = decoding_faults(paths, processes=2)
    assert fault.startswith(f"2 of 4 images can't be read: {paths[1]} (image file is truncated")
    assert f", {paths[2]} (cannot identify image file" in fault
    assert decoding_faults([paths[0], paths[3]], processes=1) == []
