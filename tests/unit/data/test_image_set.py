from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageArrays, ImageSet
from histsearch.exceptions import DataError


def save_grey(path: Path, level: int, size: tuple[int, int] = (4, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)
    return path


def grey_arrays(count: int) -> ImageArrays:
    """Images whose pixels hold their index."""
    levels = np.arange(count, dtype=np.uint8)
    return ImageArrays(np.broadcast_to(levels[:, None, None], (count, 2, 2)))


def levels(images: ImageSet) -> list[int]:
    return [int(np.asarray(images.image(i))[0, 0, 0]) for i in range(len(images))]


def test_files_are_labelled_by_sorted_class_name(tmp_path: Path) -> None:
    files = [
        (save_grey(tmp_path / "0.png", 10), "wren"),
        (save_grey(tmp_path / "1.png", 20), "auk"),
        (save_grey(tmp_path / "2.png", 30), "wren"),
    ]
    images = ImageSet.from_files(files)
    assert images.class_names == ("auk", "wren")
    assert images.num_classes == 2
    assert images.labels_N.tolist() == [1, 0, 1]
    assert images.labels_N.dtype == np.int64
    assert levels(images) == [10, 20, 30]


def test_given_class_names_set_the_order_of_labels_and_may_be_without_images(
    tmp_path: Path,
) -> None:
    files = [(save_grey(tmp_path / "0.png", 10), "auk")]
    images = ImageSet.from_files(files, ["wren", "auk"])
    assert images.labels_N.tolist() == [1]
    with pytest.raises(ValueError, match="auk"):
        ImageSet.from_files(files, ["wren"])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16"])
def test_images_of_any_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    Image.new(mode, (5, 4)).save(path)
    image = ImageSet.from_files([(path, "a")]).image(0)
    assert (image.mode, image.size) == ("RGB", (5, 4))


def test_grey_arrays_become_rgb() -> None:
    image = ImageSet(grey_arrays(3), [0, 0, 0], "a").image(2)
    assert image.mode == "RGB"
    assert np.asarray(image).tolist() == np.full((2, 2, 3), 2).tolist()


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    whole = save_grey(tmp_path / "whole.png", 10, (64, 64))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:50])
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    images = ImageSet.from_files([(cut, "a"), (text, "a"), (tmp_path / "gone.png", "a")])
    for index, name in enumerate(["cut.png", "text.jpg", "gone.png"]):
        with pytest.raises(DataError, match=name) as raised:
            images.image(index)
        assert str(raised.value).endswith(
            'replace it, remove it from the data set, or set on_bad_image = "skip" in the space.'
        )


def test_a_form_is_made_of_each_image_where_none_is_kept(tmp_path: Path) -> None:
    paths = [save_grey(tmp_path / f"{i}.png", 10 * i, (40, 30)) for i in range(2)]
    for images in (
        ImageSet.from_files([(path, "a") for path in paths]),
        ImageSet(ImageArrays(np.full((2, 30, 40), 10, dtype=np.uint8)), [0, 0], "a"),
    ):
        assert images.formed(WholeImages())[1].tolist() == np.full((30, 40, 3), 10).tolist()
        assert images.formed(WholeImages(20))[1].shape == (20, 27, 3)
        assert len(images.formed(WholeImages(20))) == 2


@pytest.mark.parametrize(
    ("cap", "size", "expected"),
    [
        (None, (500, 375), (500, 375)),
        (320, (500, 375), (427, 320)),
        (320, (375, 500), (320, 427)),
        (320, (320, 900), (320, 900)),
        (320, (100, 900), (100, 900)),
    ],
)
def test_a_cap_is_the_shorter_sides(
    cap: int | None, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    form = WholeImages(cap)
    assert form.size(*size) == expected
    assert form(Image.new("RGB", size)).size == expected


def test_take_keeps_the_images_in_the_order_asked_for() -> None:
    images = ImageSet(grey_arrays(4), [0, 1, 2, 1], ["a", "b", "c"])
    taken = images.take(np.array([3, 0]))
    assert levels(taken) == [3, 0]
    assert taken.labels_N.tolist() == [1, 0]
    assert taken.class_names == ("a", "b", "c")
    assert len(images) == 4


def test_take_follows_files(tmp_path: Path) -> None:
    files = [(save_grey(tmp_path / f"{i}.png", 10 * i), name) for i, name in enumerate("abab")]
    taken = ImageSet.from_files(files).take(np.array([1, 2]))
    assert taken.paths == (files[1][0], files[2][0])
    assert levels(taken) == [10, 20]


def test_of_classes_keeps_the_images_and_relabels_them_densely() -> None:
    images = ImageSet(grey_arrays(6), [0, 1, 2, 3, 2, 0], ["a", "b", "c", "d"])
    chosen = images.of_classes([2, 0])
    assert chosen.class_names == ("c", "a")
    assert chosen.labels_N.tolist() == [1, 0, 0, 1]
    assert levels(chosen) == [0, 2, 4, 5]


def test_of_classes_follows_files(tmp_path: Path) -> None:
    files = [(save_grey(tmp_path / f"{i}.png", 10 * i), name) for i, name in enumerate("abab")]
    chosen = ImageSet.from_files(files).of_classes([1])
    assert chosen.class_names == ("b",)
    assert levels(chosen) == [10, 30]


@pytest.mark.parametrize("classes", [[0, 0], [2], [-1]])
def test_of_classes_refuses_classes_listed_twice_or_unknown(classes: list[int]) -> None:
    images = ImageSet(grey_arrays(2), [0, 1], ["a", "b"])
    with pytest.raises(ValueError, match=r"distinct labels in 0\.\.1"):
        images.of_classes(classes)


def test_labels_must_fit_images_and_names() -> None:
    with pytest.raises(ValueError, match="labels of shape"):
        ImageSet(grey_arrays(2), [0], ["a"])
    with pytest.raises(ValueError, match=r"0\.\.0"):
        ImageSet(grey_arrays(2), [0, 1], ["a"])
