"""Images as workers will find them: kept, about to be kept, or to be decoded each time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data import decoded_sample
from histsearch.data.decoded_sample import as_workers_find
from histsearch.data.decoding import UnreadableImageError
from histsearch.data.image_cache import DatasetCache, ImageCache
from histsearch.data.image_forms import WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import rgb_as_shown

FORM = WholeImages(16)
NUMBER = 8


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Images of one colour each, larger than the form."""
    files = []
    for number in range(NUMBER):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (24, 32), (30 * number, 0, 0)).save(path)
        files.append((path, "red" if number < 4 else "redder"))
    return ImageSet.from_files(files)


@pytest.fixture
def cache(tmp_path: Path) -> DatasetCache:
    return ImageCache(tmp_path / "cache").of("folder:reds", tmp_path)


def reds(images: ImageSet) -> list[int]:
    formed = images.formed(FORM)
    return [int(formed[index][0, 0, 0]) for index in range(len(formed))]


def keep(images: ImageSet, cache: DatasetCache) -> None:
    cache.keep(images.paths, images.to_rgb, FORM, 0, lambda: None)


def test_what_will_be_kept_is_decoded_in_part_and_nothing_is_kept(
    images: ImageSet, cache: DatasetCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_sample, "_MOST_IMAGES", 3)
    found = as_workers_find(images, FORM, cache)
    for path in images.paths:
        path.unlink()
    assert reds(found) == [0, 90, 210, 0, 90, 210, 0, 90]
    assert reds(found.take(np.array([7, 2, 0]))) == [90, 210, 0]
    assert found.formed(FORM)[0].shape == (21, 16, 3)
    assert (found.labels_N == images.labels_N).all()
    assert found.class_names == images.class_names
    assert not (tmp_path / "cache").exists()


def test_a_sample_is_bounded_by_its_bytes_too(
    images: ImageSet, cache: DatasetCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_sample, "_MOST_BYTES", 16 * 21 * 3)
    assert len(set(reds(as_workers_find(images, FORM, cache)))) == 2


def test_what_is_kept_is_read_from_there(images: ImageSet, cache: DatasetCache) -> None:
    keep(images, cache)
    found = as_workers_find(images, FORM, cache)
    before = [path.read_bytes() for path in images.paths]
    kept = found.formed(FORM)
    for path in images.paths:
        path.unlink()
    assert before
    assert [int(kept[index][0, 0, 0]) for index in range(NUMBER)] == [
        30 * number for number in range(NUMBER)
    ]


@pytest.mark.parametrize("most_bytes", [0, 100])
def test_what_will_not_be_kept_is_decoded_each_time(
    images: ImageSet, tmp_path: Path, most_bytes: int
) -> None:
    cache = ImageCache(tmp_path / "cache", most_bytes).of("folder:reds", tmp_path)
    assert as_workers_find(images, FORM, cache) is images


def test_images_that_another_package_reads_or_that_are_no_files_stay_as_they_are(
    images: ImageSet, cache: DatasetCache
) -> None:
    files = [(path, "red") for path in images.paths]
    foreign = ImageSet.from_files(files, to_rgb=lambda image: rgb_as_shown(image))
    assert as_workers_find(foreign, FORM, cache) is foreign


def test_unreadable_images_are_passed_over_unless_all_are(
    images: ImageSet, cache: DatasetCache
) -> None:
    for path in images.paths[1:]:
        path.write_bytes(b"no image")
    assert set(reds(as_workers_find(images, FORM, cache))) == {0}
    images.paths[0].write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"7\.png can't be read"):
        as_workers_find(images, FORM, cache)
