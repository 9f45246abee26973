import errno
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from scipy.io import savemat

from histsearch.data.dataset import load_dataset
from histsearch.exceptions import DataError
from tests.unit.data.official_archives import write_half_annotations


def save_image(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (level,) * 3).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_cars(data_dir: Path, rows: list[tuple[str, int]], *, compressed: bool = False) -> Path:
    """An annotation file of the official structure: one 1×N struct array of 7 fields."""
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    annotations = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for i, (path, class_id) in enumerate(rows):
        annotations[0, i] = (path, 1, 1, 4, 4, class_id, 0)
    (data_dir / "cars196").mkdir(exist_ok=True)
    file = data_dir / "cars196" / "cars_annos.mat"
    savemat(file, {"annotations": annotations}, do_compression=compressed)
    return file


def test_cub200_splits_at_class_100_and_passes_companion_files_over(tmp_path: Path) -> None:
    root = tmp_path / "CUB_200_2011" / "images"
    for folder in ("001.Albatross", "100.Pelican", "101.Pelican", "200.Yellowthroat"):
        save_image(root / folder / "b.jpg")
        save_image(root / folder / "a.jpg")
        write(root / folder / "._a.jpg", "")
    write(root / "._001.Albatross", "")
    dataset = load_dataset("cub200", tmp_path)
    assert dataset.train.class_names == ("00001", "00100")
    assert dataset.test.class_names == ("00101", "00200")
    assert dataset.train.labels_N.tolist() == [0, 0, 1, 1]
    assert dataset.test.image(3).size == (4, 4)


def test_cub200_refuses_a_class_folder_without_a_number(tmp_path: Path) -> None:
    save_image(tmp_path / "CUB_200_2011" / "images" / "Albatross" / "a.jpg")
    with pytest.raises(DataError, match="Albatross doesn't begin with its number"):
        load_dataset("cub200", tmp_path)


def test_cars196_splits_at_class_98(tmp_path: Path) -> None:
    save_image(tmp_path / "cars196" / "car_ims" / "000003.jpg", level=200)
    rows = [("car_ims/000001.jpg", 1), ("car_ims/000002.jpg", 98), ("car_ims/000003.jpg", 99)]
    write_cars(tmp_path, [*rows, ("car_ims/000004.jpg", 1), ("car_ims/000005.jpg", 99)])
    dataset = load_dataset("cars196", tmp_path)
    assert dataset.train.class_names == ("00001", "00098")
    assert dataset.train.labels_N.tolist() == [0, 1, 0]
    assert dataset.test.class_names == ("00099",)
    assert dataset.test.image(0).getpixel((0, 0)) == (200, 200, 200)


TRAIN_ROWS = [("00001.jpg", 99), ("00002.jpg", 1), ("00003.jpg", 98)]
TEST_ROWS = [("00001.jpg", 98), ("00002.jpg", 99), ("00003.jpg", 1), ("00004.jpg", 1)]


@pytest.mark.parametrize("folder", ["cars196", "cars196/devkit"])
def test_cars196_of_one_annotation_file_a_half_gives_the_same_classes(
    tmp_path: Path, folder: str
) -> None:
    write_half_annotations(tmp_path / folder / "cars_train_annos.mat", TRAIN_ROWS)
    write_half_annotations(tmp_path / "cars196" / "cars_test_annos_withlabels.mat", TEST_ROWS)
    save_image(tmp_path / "cars196" / "cars_test" / "00002.jpg", level=200)
    halved = load_dataset("cars196", tmp_path)
    assert [path.relative_to(tmp_path / "cars196").as_posix() for path in halved.train.paths] == [
        "cars_train/00002.jpg",
        "cars_test/00003.jpg",
        "cars_test/00004.jpg",
        "cars_train/00003.jpg",
        "cars_test/00001.jpg",
    ]
    assert halved.test.image(1).getpixel((0, 0)) == (200, 200, 200)
    whole = tmp_path / "whole"
    whole.mkdir()
    write_cars(whole, [(f"car_ims/{i}.jpg", c) for i, c in enumerate((1, 1, 1, 98, 98, 99, 99))])
    assert halved.fingerprint() == load_dataset("cars196", whole).fingerprint()
    assert halved.train.labels_N.tolist() == load_dataset("cars196", whole).train.labels_N.tolist()


def test_cars196_with_both_distributions_is_read_from_the_one_whose_images_are_there(
    tmp_path: Path,
) -> None:
    write_half_annotations(tmp_path / "cars196" / "cars_train_annos.mat", TRAIN_ROWS)
    write_half_annotations(tmp_path / "cars196" / "cars_test_annos_withlabels.mat", TEST_ROWS)
    write_cars(tmp_path, [(f"car_ims/{i}.jpg", c) for i, c in enumerate((1, 99, 99))])
    assert len(load_dataset("cars196", tmp_path).train) == 5
    (tmp_path / "cars196" / "car_ims").mkdir()
    assert len(load_dataset("cars196", tmp_path).train) == 1


def test_cars196_needs_the_labels_of_both_halves(tmp_path: Path) -> None:
    write_half_annotations(tmp_path / "cars196" / "cars_train_annos.mat", TRAIN_ROWS)
    with pytest.raises(DataError, match=r"no file .*cars_test_annos_withlabels\.mat, which says"):
        load_dataset("cars196", tmp_path)
    unlabelled = tmp_path / "cars196" / "cars_test_annos_withlabels.mat"
    write_half_annotations(unlabelled, TEST_ROWS, labels=False)
    with pytest.raises(DataError, match=r"withlabels\.mat isn't .* the fields fname and class"):
        load_dataset("cars196", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"x" * 200])
def test_cars196_refuses_a_file_that_is_not_matlabs(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cars196").mkdir()
    (tmp_path / "cars196" / "cars_annos.mat").write_bytes(content)
    with pytest.raises(DataError, match="isn't the official annotation file"):
        load_dataset("cars196", tmp_path)


def refused_damage(file: Path, contents: Iterable[bytes]) -> set[str]:
    """The errors that lie behind the one sentence with which each content is refused."""
    causes = set()
    for content in contents:
        file.write_bytes(content)
        with pytest.raises(DataError, match="isn't the official annotation file") as refused:
            load_dataset("cars196", file.parents[1])
        causes.add(type(refused.value.__cause__).__name__)
    return causes


def flipped(content: bytes, place: int, bit: int = 1) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_cars196_refuses_a_damaged_file(tmp_path: Path) -> None:
    rows = [(f"car_ims/{i}.jpg", i) for i in range(90, 110)]
    file = write_cars(tmp_path, rows, compressed=True)
    content = file.read_bytes()
    cuts = (content[:size] for size in range(0, len(content) - 16, 5))
    assert "OSError" in refused_damage(file, cuts)
    flips = (flipped(content, place) for place in range(144, len(content) - 16, 5))
    assert "error" in refused_damage(file, flips), "zlib's"
    # Its class and the type of its dimensions, which SciPy takes for granted.
    content = write_cars(tmp_path, rows).read_bytes()
    assert refused_damage(file, [flipped(content, 144)]) == {"UnboundLocalError"}
    assert refused_damage(file, [flipped(content, 160)]) == {"OSError"}


def test_cars196_that_cannot_be_opened_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_cars(tmp_path, TRAIN_ROWS)
    monkeypatch.setattr(scipy.io, "loadmat", fail)
    with pytest.raises(DataError, match=r"cars_annos\.mat can't be read \(Input/output error\)"):
        load_dataset("cars196", tmp_path)


@pytest.mark.parametrize("variables", [{"other": 1}, {"annotations": 1}])
def test_cars196_refuses_other_variables(tmp_path: Path, variables: dict[str, int]) -> None:
    (tmp_path / "cars196").mkdir()
    savemat(tmp_path / "cars196" / "cars_annos.mat", variables)
    with pytest.raises(DataError, match="relative_im_path"):
        load_dataset("cars196", tmp_path)


SOP_HEADER = "image_id class_id super_class_id path\n"


def test_sop_splits_at_class_11318(tmp_path: Path) -> None:
    root = tmp_path / "Stanford_Online_Products"
    write(
        root / "Ebay_train.txt",
        SOP_HEADER + "1 1 1 bicycle_final/1_0.JPG\n2 1 1 bicycle_final/1_1.JPG\n"
        "3 11318 2 toaster_final/2_0.JPG\n",
    )
    write(
        root / "Ebay_test.txt",
        SOP_HEADER + "59552 11319 1 bicycle_final/3_0.JPG\n59553 11319 1 bicycle_final/3_1.JPG\n",
    )
    save_image(root / "bicycle_final" / "3_0.JPG")
    dataset = load_dataset("sop", tmp_path)
    assert dataset.train.labels_N.tolist() == [0, 0, 1]
    assert dataset.train.class_names == ("00001", "11318")
    assert dataset.test.class_names == ("11319",)
    assert dataset.test.image(0).size == (4, 4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1 1 path.jpg\n", "Ebay_train.txt, line 2, holds 3 fields instead of the 4"),
        ("1 one 1 path.jpg\n", "line 2, has the class_id 'one'"),
        ("1 1 1 path.jpg\n", "1 image of training classes .* and 0 of test classes"),
    ],
)
def test_sop_refuses_a_damaged_listing(tmp_path: Path, row: str, message: str) -> None:
    root = tmp_path / "Stanford_Online_Products"
    write(root / "Ebay_train.txt", SOP_HEADER + row)
    write(root / "Ebay_test.txt", SOP_HEADER)
    with pytest.raises(DataError, match=message):
        load_dataset("sop", tmp_path)


INSHOP_HEADER = "4\nimage_name item_id evaluation_status\n"


def write_inshop(data_dir: Path, rows: str) -> None:
    write(data_dir / "Inshop_Clothes" / "Eval" / "list_eval_partition.txt", INSHOP_HEADER + rows)


def test_inshop_numbers_the_items_of_query_and_gallery_alike(tmp_path: Path) -> None:
    write_inshop(
        tmp_path,
        "img/MEN/a.jpg   id_00000001   train\n"
        "img/MEN/b.jpg   id_00000003   query\n"
        "img/MEN/c.jpg   id_00000002   gallery\n"
        "img/MEN/d.jpg   id_00000003   gallery\n",
    )
    save_image(tmp_path / "Inshop_Clothes" / "Img" / "img" / "MEN" / "d.jpg")
    dataset = load_dataset("inshop", tmp_path)
    assert dataset.gallery is not None
    assert dataset.train.class_names == ("id_00000001",)
    assert dataset.test.class_names == dataset.gallery.class_names
    assert dataset.test.labels_N.tolist() == [1]
    assert dataset.gallery.labels_N.tolist() == [0, 1]
    assert dataset.gallery.image(1).size == (4, 4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg id_1 valid\n", "line 3, has the evaluation_status 'valid'"),
        ("a.jpg id_1 train\nb.jpg id_2 query\n", "lists no gallery image"),
    ],
)
def test_inshop_refuses_a_damaged_listing(tmp_path: Path, rows: str, message: str) -> None:
    write_inshop(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        load_dataset("inshop", tmp_path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cub200", "CUB_200_2011/images"),
        ("cars196", "cars196/cars_annos.mat"),
        ("sop", "Stanford_Online_Products/Ebay_train.txt"),
        ("inshop", "Inshop_Clothes/Eval/list_eval_partition.txt"),
    ],
)
def test_a_missing_data_set_is_answered_with_the_expected_path(
    tmp_path: Path, name: str, path: str
) -> None:
    with pytest.raises(DataError, match=str(tmp_path / path)):
        load_dataset(name, tmp_path)


def test_queries_of_which_none_is_in_the_gallery_are_refused(tmp_path: Path) -> None:
    write_inshop(tmp_path, "a.jpg id_1 train\nb.jpg id_2 query\nc.jpg id_3 gallery\n")
    with pytest.raises(DataError, match="No test query has an image of its class in the gallery"):
        load_dataset("inshop", tmp_path)


def test_a_test_half_of_classes_with_one_image_is_refused(tmp_path: Path) -> None:
    write_cars(tmp_path, [(f"car_ims/{i}.jpg", c) for i, c in enumerate((1, 98, 99, 100))])
    with pytest.raises(DataError, match="Each of the 2 test classes has one image, so no query"):
        load_dataset("cars196", tmp_path)
