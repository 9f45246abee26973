import os
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from histsearch.data.dataset import load_dataset
from histsearch.data.folder import SPLIT_FILE, read_folder
from histsearch.exceptions import DataError, SpaceError


def save_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (3, 3)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Classes x/1, x/2, x/3, y and z of two images each."""
    for name in ("x/1", "x/2", "x/3", "y", "z"):
        for image in ("a.png", "b.JPG"):
            save_image(tmp_path / name / image)
    return tmp_path


def test_the_first_half_of_the_sorted_classes_trains_with_the_odd_one(tree: Path) -> None:
    train, test, *_ = read_folder(tree)
    assert train.class_names == ("x/1", "x/2", "x/3")
    assert test.class_names == ("y", "z")
    assert train.labels_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert train.image(5).mode == "RGB"


@pytest.mark.parametrize(
    "suffix", ["png", "PNG", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "TIFF"]
)
def test_every_image_suffix_counts(tree: Path, suffix: str) -> None:
    save_image(tree / "w" / f"a.{suffix}")
    assert read_folder(tree)[0].class_names[0] == "w"


def test_hidden_files_and_folders_and_other_files_are_passed_over(tree: Path) -> None:
    expected = [len(half) for half in read_folder(tree)[:2]]
    (tree / "y" / "._a.png").write_bytes(b"")
    (tree / "y" / "notes.txt").write_text("")
    save_image(tree / ".cache" / "a.png")
    (tree / "empty").mkdir()
    save_image(tree / "x" / "__MACOSX" / "1" / "a.png")
    save_image(tree / "y" / "@eaDir" / "a.png")
    assert [len(half) for half in read_folder(tree)[:2]] == expected


def test_a_listed_split_overrides_the_halves(tree: Path) -> None:
    (tree / SPLIT_FILE).write_text(
        "class,split\nx/1,test\nx/2, ignore\n\nx/3,train\ny,test\nz,train\n"
    )
    train, test, *_ = read_folder(tree)
    assert train.class_names == ("x/3", "z")
    assert test.class_names == ("x/1", "y")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("name,split\n", "line 1, must be the header 'class,split'"),
        ("class,split\nx/1,train\nx/9,test\n", "line 3, lists the class 'x/9', but no folder"),
        ("class,split\nx/1,train\nx/1,test\n", "line 3, lists the class 'x/1' a second time"),
        ("class,split\nx/1,valid\n", "line 2, has the split 'valid': write train, test or ignore"),
        ("class,split\nx/1\n", "line 2, holds 1 fields"),
        ("class,split\n1,train\nx/1,test\n", "line 3, lists the class 'x/1' a second time"),
        (f"class,split\n{'1' * 200_000},train\n", r"split\.csv can't be read \(field larger"),
        ("class,split\nx/1,train\nz,test\n", "doesn't list 3 of 5 classes, .* 'x/2'"),
        ("", "doesn't list 5 of 5 classes"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tree: Path, lines: str, message: str) -> None:
    (tree / SPLIT_FILE).write_text(lines)
    with pytest.raises(DataError, match=message):
        read_folder(tree)


def test_a_split_file_that_is_no_text_is_refused(tree: Path) -> None:
    (tree / SPLIT_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"split\.csv can't be read"):
        read_folder(tree)


def test_a_split_file_that_is_endless_is_refused_unread(tree: Path) -> None:
    with (tree / SPLIT_FILE).open("wb") as file:
        file.write(b"class,split\nx/1,train\n")
        file.truncate(2**25)
    with pytest.raises(
        DataError, match=r"split\.csv: found over 16 MiB, allowed: up to 16 MiB, .*: correct or"
    ):
        read_folder(tree)


def test_a_split_must_leave_two_classes_in_each_half(tree: Path) -> None:
    (tree / SPLIT_FILE).write_text(
        "class,split\nx/1,train\nx/2,train\nx/3,train\ny,train\nz,test\n"
    )
    with pytest.raises(DataError, match="4 training and 1 test classes"):
        read_folder(tree)


def test_three_classes_are_too_few(tmp_path: Path) -> None:
    for name in "abc":
        save_image(tmp_path / name / "a.png")
    with pytest.raises(DataError, match="2 training and 1 test classes"):
        read_folder(tmp_path)


def test_an_empty_folder_is_answered_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0 training and 0 test classes.*one folder a class"):
        read_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*missing"):
        read_folder(tmp_path / "missing")


def test_an_image_outside_a_class_is_refused(tree: Path) -> None:
    save_image(tree / "stray.png")
    with pytest.raises(DataError, match=r"stray\.png belongs to no class"):
        read_folder(tree)


def test_a_linked_class_folder_is_read(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save_image(elsewhere / "a.png")
    (tree / "a").symlink_to(elsewhere)
    assert read_folder(tree)[0].class_names[0] == "a"


def test_folder_reads_the_data_directory_and_folder_name_a_part_of_it(tree: Path) -> None:
    assert load_dataset("folder", tree).train.class_names == ("x/1", "x/2", "x/3")
    save_image(tree / "x" / "4" / "a.png")
    assert load_dataset("folder:x", tree).train.class_names == ("1", "2")


def test_a_subfolder_can_not_leave_the_data_directory(tree: Path) -> None:
    with pytest.raises(SpaceError, match=r"without '\.\.'"):
        load_dataset("folder:../other", tree / "x")


def test_a_ready_split_into_train_and_val_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "abcd":
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            Image.new("L", (4, 4)).save(folder / "0.png")
    with pytest.raises(DataError, match="split into train, val already"):
        read_folder(tmp_path)


def test_a_link_back_into_the_tree_adds_no_classes(tmp_path: Path) -> None:
    for name in "abcd":
        save_image(tmp_path / name / "0.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    train, test, *_ = read_folder(tmp_path)
    assert (train.class_names, test.class_names) == (("a", "b"), ("c", "d"))


def test_what_is_skipped_is_listed_and_why(tree: Path) -> None:
    assert read_folder(tree).remarks == ()
    for name in ("y/a.heic", "y/b.HEIC", "z/notes.txt", "w/1.heic", "README", "y/Thumbs.db"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    (tree / "empty").mkdir()
    (tree / "z" / "again").symlink_to(tree / "y")
    (tree / SPLIT_FILE).write_text("class,split\n1,train\n2,train\n3,train\ny,test\nz,test\n")
    assert read_folder(tree).remarks == (
        "skipped 5 files: 3 .heic (such as w/1.heic), 1 without a suffix (such as README), 1 .txt "
        "(such as z/notes.txt); images are read from .png, .jpg, .jpeg, .webp, .bmp, .gif, .tif, "
        ".tiff",
        "skipped 2 folders without an image to read: empty, w",
        "skipped 1 folder read already under another name: z/again",
    )


def test_a_folder_of_images_in_other_formats_says_so(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.heic").touch()
    with pytest.raises(
        DataError, match=r"0 training.*skipped 4 files: 4 \.heic \(such as a/0\.heic"
    ):
        read_folder(tmp_path)


def test_classes_of_one_name_are_told(tree: Path) -> None:
    for name in ("q/1", "q/2", "r/1"):
        save_image(tree / name / "a.png")
    assert read_folder(tree).remarks == (
        "found 2 names in several folders, a class of its own in each: 1 (q/1, r/1, x/1), "
        "2 (q/2, x/2)",
    )


def test_a_split_may_name_classes_by_their_own_folder_alone(tree: Path) -> None:
    save_image(tree / "3" / "a.png")
    (tree / SPLIT_FILE).write_text(
        "class,split\n1,train\nx/2,test\nx/3,train\ny,test\nz,test\n3,test\n"
    )
    train, test, *_ = read_folder(tree)
    assert (train.class_names, test.class_names) == (("x/1", "x/3"), ("3", "x/2", "y", "z"))


def test_a_split_must_name_the_path_where_several_folders_have_the_name(tree: Path) -> None:
    save_image(tree / "q" / "1" / "a.png")
    (tree / SPLIT_FILE).write_text("class,split\n1,train\n")
    with pytest.raises(DataError, match=r"'1', but 2 folders .* such as 'q/1' or 'x/1'"):
        read_folder(tree)


def test_a_split_that_is_no_plain_file_is_refused(tree: Path) -> None:
    os.mkfifo(tree / SPLIT_FILE)
    with pytest.raises(DataError, match=r"split\.csv is a FIFO, but must be a plain file"):
        read_folder(tree)


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_the_same_in_any_code_points(
    tmp_path: Path, on_disk: Literal["NFC", "NFD"], written: Literal["NFC", "NFD"]
) -> None:
    birds = unicodedata.normalize(on_disk, "Vögel")
    for name in ("Zoé/Krähe", "auk", "bee", "cat"):
        for image in ("é.png", "f.png"):
            save_image(tmp_path / birds / unicodedata.normalize(on_disk, name) / image)
    split = unicodedata.normalize(
        written, "class,split\nKrähe,train\nauk,train\nbee,test\ncat,test\n"
    )
    (tmp_path / birds / SPLIT_FILE).write_text(split)
    dataset = load_dataset(unicodedata.normalize(written, "folder:Vögel"), tmp_path)
    # One name on every machine, so that workers of macOS and Linux see the same images.
    assert dataset.train.class_names == (unicodedata.normalize("NFC", "Zoé/Krähe"), "auk")
    assert dataset.train.image(0).size == (3, 3)


def test_images_have_one_order_in_any_code_points(tmp_path: Path) -> None:
    orders = []
    for form in ("NFC", "NFD"):
        for name in "abcd":
            for image in ("ez.png", "é.png", "f.png"):
                save_image(tmp_path / form / name / unicodedata.normalize(form, image))
        paths = load_dataset(f"folder:{form}", tmp_path).train.paths
        orders.append([unicodedata.normalize("NFC", path.name) for path in paths])
    assert orders[0] == orders[1]


def test_two_folders_whose_names_read_the_same_are_refused(tree: Path) -> None:
    for form in ("NFC", "NFD"):
        save_image(tree / unicodedata.normalize(form, "é") / "a.png")
    with pytest.raises(
        DataError, match=r"Two folders in .* are named 'é', in different code points"
    ):
        read_folder(tree)
