import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data import decoding
from histsearch.data.dataset import Dataset, load_dataset
from histsearch.data.glyphs import GLYPHS
from histsearch.data.image_set import ImageArrays, ImageSet
from histsearch.data.inshop import INSHOP
from histsearch.data.readable_images import unreadable_files, without_unreadable
from histsearch.exceptions import DataError
from tests.miniatures import write_inshop
from tests.unit.data.official_archives import jpeg

CLASSES = ("auk", "bee", "cat", "dog", "eel", "fox")
TRAIN, TEST = CLASSES[:3], CLASSES[3:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six classes of two images, noise as PNG and as JPEG."""
    for name in CLASSES:
        (tmp_path / name).mkdir()
        Image.effect_noise((64, 64), 50).save(tmp_path / name / "0.png")
        (tmp_path / name / "1.jpg").write_bytes(jpeg(64))
    return tmp_path


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("no image")


def remaining(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Class and file of each image by part, the class by its label."""
    return {
        part: [
            (images.class_names[label], f"{path.parent.name}/{path.name}")
            for label, path in zip(images.labels_N.tolist(), images.paths, strict=True)
        ]
        for part, images in dataset.parts().items()
    }


def class_names(dataset: Dataset) -> Mapping[str, tuple[str, ...]]:
    return {part: images.class_names for part, images in dataset.parts().items()}


def test_images_damaged_in_any_way_are_left_out_and_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damages = {"auk/0.png": empty, "bee/0.png": cut, "dog/1.jpg": cut, "fox/1.jpg": text}
    for name, damage in damages.items():
        damage(folder / name)
    whole = load_dataset("folder", folder)
    (folder / "eel" / "0.png").unlink()
    reduced = without_unreadable(whole, processes=0)
    assert class_names(reduced) == {"train": TRAIN, "test": TEST}
    cats = [("cat", "cat/0.png"), ("cat", "cat/1.jpg")]
    assert remaining(reduced) == {
        "train": [("auk", "auk/1.jpg"), ("bee", "bee/1.jpg"), *cats],
        "test": [("dog", "dog/0.png"), ("eel", "eel/1.jpg"), ("fox", "fox/0.png")],
    }
    for images in reduced.parts().values():
        for index in range(len(images)):
            assert images.image(index).size == (64, 64)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    named = [
        match[1]
        for message in caplog.messages
        if (match := re.match(r"left out the image (\S+), which can't be read \(.+\)$", message))
    ]
    assert named == [str(folder / name) for name in sorted((*damages, "eel/0.png"))]
    assert len(caplog.records) == len(named)


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_a_whole_data_set_is_returned_as_it_is(
    folder: Path, processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load_dataset("folder", folder)
    assert without_unreadable(whole, processes) is whole
    assert caplog.records == []


def test_images_in_memory_are_returned_as_they_are() -> None:
    pixels_NHW = np.zeros((2, 4, 4), dtype=np.uint8)
    images = ImageSet(ImageArrays(pixels_NHW), [0, 1], ["a", "b"])
    dataset = Dataset(GLYPHS, images, images)
    assert without_unreadable(dataset, processes=2) is dataset


def test_a_class_without_a_readable_image_is_left_out_and_labels_stay_dense(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("auk/0.png", "auk/1.jpg", "eel/0.png", "eel/1.jpg"):
        empty(folder / name)
    reduced = without_unreadable(load_dataset("folder", folder), processes=1)
    assert class_names(reduced) == {"train": ("bee", "cat"), "test": ("dog", "fox")}
    assert reduced.train.labels_N.tolist() == reduced.test.labels_N.tolist() == [0, 0, 1, 1]
    assert caplog.messages[-2:] == [
        "left out the class auk: none of its train images can be read",
        "left out the class eel: none of its test images can be read",
    ]


@pytest.mark.parametrize(
    ("names", "counts"), [(TRAIN[1:], "1 training and 3 test"), (TEST, "3 training and 0 test")]
)
def test_a_half_of_fewer_than_two_classes_is_refused(
    folder: Path, names: tuple[str, ...], counts: str
) -> None:
    for path in (path for name in names for path in (folder / name).iterdir()):
        text(path)
    with pytest.raises(DataError) as refused:
        without_unreadable(load_dataset("folder", folder), processes=1)
    assert str(refused.value) == (
        f"{2 * len(names)} of 12 images of folder can't be read, which leaves {counts} classes, "
        "but each half needs at least 2: replace the images that the log names."
    )


def inshop_image(data_dir: Path, item: int, number: int) -> Path:
    folder = data_dir / "Inshop_Clothes" / "Img" / "img" / "WOMEN" / "Dresses"
    return folder / f"id_{item:08d}" / f"0{number}_1_front.jpg"


@pytest.fixture
def inshop(tmp_path: Path) -> Dataset:
    """Items 0 to 7 train; of each of 8 to 15, image 0 is a query and image 1 in the gallery."""
    write_inshop(tmp_path)
    return load_dataset("inshop", tmp_path)


def test_query_and_gallery_stay_labelled_alike(tmp_path: Path, inshop: Dataset) -> None:
    cut(inshop_image(tmp_path, 9, 0))
    cut(inshop_image(tmp_path, 12, 1))
    cut(inshop_image(tmp_path, 3, 1))
    reduced = without_unreadable(inshop, processes=1)
    assert reduced.gallery is not None
    items = tuple(f"id_{item:08d}" for item in (8, 10, 11, 13, 14, 15))
    assert reduced.test.class_names == reduced.gallery.class_names == items
    left = remaining(reduced)
    assert left["query"] == [(item, f"{item}/00_1_front.jpg") for item in items]
    assert left["gallery"] == [(item, f"{item}/01_1_front.jpg") for item in items]
    assert (reduced.train.num_classes, len(reduced.train)) == (8, 15)


def test_a_class_that_only_the_gallery_had_stays(tmp_path: Path, inshop: Dataset) -> None:
    assert inshop.gallery is not None
    queries = inshop.test.take(np.arange(1, 8))
    cut(inshop_image(tmp_path, 9, 0))
    reduced = without_unreadable(Dataset(INSHOP, inshop.train, queries, inshop.gallery), 1)
    assert reduced.gallery is not None
    assert reduced.test.class_names == reduced.gallery.class_names
    assert remaining(reduced)["gallery"][0] == ("id_00000008", "id_00000008/01_1_front.jpg")
    assert reduced.test.labels_N.tolist() == [1, 2, 3, 4, 5, 6]


def test_an_image_in_two_parts_is_named_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load_dataset("folder", folder)
    text(folder / "dog" / "0.png")
    reduced = without_unreadable(Dataset(INSHOP, whole.train, whole.test, whole.test), 1)
    assert len(caplog.records) == 1
    left = remaining(reduced)
    assert left["query"] == left["gallery"]
    assert len(left["query"]) == 5


def test_workers_that_skip_different_images_are_told_apart(folder: Path) -> None:
    whole = load_dataset("folder", folder)
    kept = {name: (folder / name).read_bytes() for name in ("auk/0.png", "bee/0.png", "auk/1.jpg")}
    digests = {}
    for skipped in ((), ("auk/0.png",), ("bee/0.png",), ("auk/0.png", "auk/1.jpg")):
        for name, content in kept.items():
            (folder / name).write_bytes(b"" if name in skipped else content)
        digests[skipped] = without_unreadable(whole, processes=1).fingerprint()
    assert digests[()] == whole.fingerprint()
    assert len(set(digests.values())) == len(digests)
    (folder / "auk" / "0.png").unlink()
    (folder / "auk" / "1.jpg").write_bytes(kept["auk/1.jpg"])
    assert without_unreadable(whole, processes=1).fingerprint() == digests["auk/0.png",]


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_unreadable_files_come_in_order_with_their_reasons(tmp_path: Path, processes: int) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(80)]
    for path in paths:
        path.write_bytes(jpeg())
    text(paths[3])
    empty(paths[40])
    paths[79].unlink()
    found = list(unreadable_files(paths, processes))
    assert [path for path, _ in found] == [paths[3], paths[40], paths[79]]
    assert found[0][1].startswith("cannot identify image file")
    assert "No such file" in found[2][1]


@pytest.mark.parametrize(("files", "processes"), [(80, 0), (80, 1), (32, 8)])
def test_no_process_is_started_without_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, processes: int
) -> None:
    path = tmp_path / "0.jpg"
    path.write_bytes(jpeg())
    monkeypatch.setattr(decoding, "ProcessPoolExecutor", None)
    assert list(unreadable_files([path] * files, processes)) == []


def test_an_error_without_words_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> Image.Image:
        raise OSError

    monkeypatch.setattr(Image, "open", fail)
    path = tmp_path / "0.jpg"
    path.write_bytes(jpeg())
    assert list(unreadable_files([path], processes=1)) == [(path, "")]
