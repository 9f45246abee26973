"""Decoded images that are kept: the pixels that decoding gives, found again, never half."""

import os
import pickle
import shutil
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histsearch.data import cache_store
from histsearch.data.cache_contents import kept_forms, remove
from histsearch.data.cache_files import NotKeptError
from histsearch.data.decoding import UnreadableImageError
from histsearch.data.image_cache import ImageCache
from histsearch.data.image_forms import ImageForm, WholeImages
from histsearch.data.image_set import ImageSet
from histsearch.data.pixels import rgb_as_shown
from histsearch.models.known_backbones import find_backbone
from histsearch.models.transforms import EvaluationCrop
from tests.privileges import ALICE, BOB, LAB, acting_as, make_group_folder, needs_root, open_folder

CONV4_CROP = EvaluationCrop(find_backbone("conv4").preprocessing)
WHOLE = WholeImages()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Photographs turned round, transparent, deep and plain, of several sizes."""
    folder = tmp_path / "data" / "things"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    noise_HW4 = rng.integers(0, 256, size=(50, 60, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise_HW4[..., :3]).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(noise_HW4).save(folder / "transparent.png")
    deep_HW = rng.integers(0, 2**16, size=(40, 45), dtype=np.uint16)
    Image.fromarray(deep_HW).save(folder / "deep.png")
    Image.fromarray(noise_HW4[:30, :20, 0]).save(folder / "grey.png")
    return sorted(folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache")


def image_set(paths: Sequence[Path], cache: ImageCache | None = None) -> ImageSet:
    images = ImageSet.from_files([(path, "a") for path in paths], to_rgb=rgb_as_shown)
    return images if cache is None else images.with_cache(cache.of("things", paths[0].parent))


def pixels(images: ImageSet, form: ImageForm = WHOLE) -> list[list[list[list[int]]]]:
    formed = images.formed(form)
    return [formed[index].tolist() for index in range(len(images))]


def decoded(images: ImageSet, form: ImageForm = WHOLE) -> int:
    """How many images have to be decoded to be kept."""
    calls: list[None] = []
    images.formed(form, on_image=lambda: calls.append(None))
    return len(calls)


def files(cache: ImageCache, pattern: str) -> list[Path]:
    return sorted(cache.folder.glob(f"*/{pattern}"))


@pytest.mark.parametrize("form", [WHOLE, WholeImages(32), CONV4_CROP], ids=lambda form: form.name)
def test_kept_pixels_are_those_of_decoding(
    paths: list[Path], cache: ImageCache, form: ImageForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pixels(image_set(paths), form)
    assert pixels(image_set(paths, cache), form) == expected

    monkeypatch.setattr(cache_store, "decode", None)
    monkeypatch.setattr("histsearch.data.image_set.decode", None)
    again = image_set(paths, cache)
    assert pixels(again, form) == expected
    assert pixels(again.take(np.array([2, 0])), form) == [expected[2], expected[0]]


def test_what_is_kept_of_some_images_is_extended_by_others(
    paths: list[Path], cache: ImageCache
) -> None:
    assert decoded(image_set(paths[:1], cache)) == 1
    assert decoded(image_set(paths, cache)) == 3
    assert len(files(cache, "*.pixels")) == 2
    assert decoded(image_set(paths[::-1], cache)) == 0
    assert pixels(image_set(paths[::-1], cache)) == pixels(image_set(paths[::-1]))


def test_a_file_that_was_written_anew_is_decoded_anew(paths: list[Path], cache: ImageCache) -> None:
    decoded(image_set(paths, cache))
    Image.new("L", (7, 5), 99).save(paths[1])
    assert decoded(image_set(paths, cache)) == 1
    assert pixels(image_set(paths, cache)) == pixels(image_set(paths))
    for path in paths:
        Image.new("L", (6, 4), 11).save(path)
    assert decoded(image_set(paths, cache)) == len(paths)
    # Of the pixels that no file holds any more nothing stays.
    assert len(files(cache, "*.pixels")) == 1


def test_images_read_otherwise_are_kept_apart(paths: list[Path], cache: ImageCache) -> None:
    decoded(image_set(paths, cache))
    reference = ImageSet.from_files([(path, "a") for path in paths])
    with_cache = reference.with_cache(cache.of("things", paths[0].parent))
    assert pixels(with_cache) == pixels(reference) != pixels(image_set(paths, cache))


def test_images_that_another_package_reads_are_decoded_each_time(
    paths: list[Path], cache: ImageCache, caplog: pytest.LogCaptureFixture
) -> None:
    def mirrored(image: Image.Image) -> Image.Image:
        return rgb_as_shown(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    images = ImageSet.from_files([(path, "a") for path in paths], to_rgb=mirrored)
    assert pixels(images.with_cache(cache.of("things", paths[0].parent))) == pixels(images)
    (line,) = caplog.messages
    assert "another package says what its pixels mean" in line


def test_an_unreadable_file_is_an_error_where_it_is_used_and_tried_once(
    paths: list[Path], cache: ImageCache
) -> None:
    paths[0].write_text("no image")
    missing = [*paths, paths[0].with_name("missing.png")]
    assert decoded(image_set(missing, cache)) == 5
    images = image_set(missing, cache)
    assert decoded(images) == 0
    formed = images.formed(WHOLE)
    for index in (0, 4):
        with pytest.raises(UnreadableImageError, match=missing[index].name):
            formed[index]
    assert formed[1].tolist() == pixels(image_set(paths[1:]))[0]


def cut_pixels(cache: ImageCache) -> None:
    (file,) = files(cache, "*.pixels")
    file.write_bytes(file.read_bytes()[:-1])


def lose_pixels(cache: ImageCache) -> None:
    (file,) = files(cache, "*.pixels")
    file.unlink()


def cut_index(cache: ImageCache) -> None:
    (file,) = files(cache, "*.index")
    file.write_bytes(file.read_bytes()[:-10])


def change_index(cache: ImageCache) -> None:
    (file,) = files(cache, "*.index")
    file.write_bytes(file.read_bytes().replace(b'"things"', b'"thongs"'))


def empty_index(cache: ImageCache) -> None:
    (file,) = files(cache, "*.index")
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_pixels, lose_pixels, cut_index, change_index, empty_index])
def test_damaged_images_are_made_anew_which_is_said_in_one_line(
    paths: list[Path],
    cache: ImageCache,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[ImageCache], None],
) -> None:
    decoded(image_set(paths, cache))
    damage(cache)
    (form,) = kept_forms(cache.folder)
    assert form.fault
    assert decoded(image_set(paths, cache)) == len(paths)
    (line,) = caplog.messages
    assert "are damaged" in line
    assert pixels(image_set(paths, cache)) == pixels(image_set(paths))
    assert [form.fault for form in kept_forms(cache.folder)] == [""]


def test_pixels_that_changed_on_the_disk_are_found_by_their_checksums(
    paths: list[Path], cache: ImageCache
) -> None:
    def damaged() -> int:
        kept = cache.of("things", paths[0].parent).keep(paths, rgb_as_shown, WHOLE, 0, count)
        return kept.damaged(count)

    def count() -> None:
        calls.append(None)

    calls: list[None] = []
    assert damaged() == 0
    assert len(calls) == 2 * len(paths)
    (file,) = files(cache, "*.pixels")
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    assert damaged() == 1


def test_an_image_that_changed_on_the_disk_is_decoded_instead_which_is_said_once(
    paths: list[Path], cache: ImageCache, caplog: pytest.LogCaptureFixture
) -> None:
    decoded(image_set(paths, cache))
    (file,) = files(cache, "*.pixels")
    content = bytearray(file.read_bytes())
    for damaged in (0, -1):  # of the first image and of the last
        content[damaged] ^= 1
    file.write_bytes(content)
    images = image_set(paths, cache)
    assert pixels(images) == pixels(images) == pixels(image_set(paths))
    (line,) = caplog.messages
    assert "things: found decoded images in" in line
    assert "until histsearch data cache clear things removes them" in line
    of_files = image_set(paths).formed(WHOLE).num_pixels()
    assert images.formed(WHOLE).num_pixels() == of_files


def test_leftovers_of_a_process_that_was_killed_are_removed(
    paths: list[Path], cache: ImageCache
) -> None:
    decoded(image_set(paths[:2], cache))
    (folder,) = cache.folder.iterdir()
    left = [folder / f"whole.{'0' * 16}.pixels", folder / ".whole.index.0123456789abcdef"]
    other = [folder / f"whole-32.{'0' * 16}.pixels", folder / "notes.txt"]
    for file in (*left, *other):
        file.write_bytes(b"half")
    decoded(image_set(paths, cache))
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in other)


def test_images_go_to_another_process_by_the_names_of_their_files(
    paths: list[Path], cache: ImageCache
) -> None:
    formed = image_set(paths, cache).formed(WHOLE)
    copy = pickle.loads(pickle.dumps(formed))  # noqa: S301
    assert [copy[i].tolist() for i in range(4)] == pixels(image_set(paths))
    remove(cache.folder)
    # Whoever has the files open goes on with them, and others decode.
    late = pickle.loads(pickle.dumps(formed))  # noqa: S301
    for images in (formed, copy, late):
        assert [images[i].tolist() for i in range(4)] == pixels(image_set(paths))


@pytest.mark.parametrize(
    ("most_bytes", "free", "reason"),
    [
        (20_000, 10**9, "of the 20 kB allowed in .* 0 kB are used; --image-cache-limit allows"),
        (10**9, 80_000, "more than a quarter of the 80 kB that are free in"),
    ],
)
def test_images_that_take_too_much_room_are_decoded_each_time(
    paths: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    most_bytes: int,
    free: int,
    reason: str,
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, free))
    cache = ImageCache(tmp_path / "cache", most_bytes)
    images = image_set(paths, cache)
    assert pixels(images) == pixels(image_set(paths))
    # Of the same data set later images are told of no more.
    assert pixels(images.take(np.array([0, 1, 2]))) == pixels(image_set(paths[:3]))
    (line,) = caplog.messages
    assert line.startswith("things: its decoded images (whole) aren't kept")
    with pytest.raises(NotKeptError, match=f"4 images would take some .* kB, .*{reason}"):
        cache.of("things", paths[0].parent).keep(paths, rgb_as_shown, WHOLE, 0, int)


def test_files_that_say_less_than_they_hold_are_stopped_at_the_limit(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_store, "_bytes_of", lambda *_: 1)
    cache = ImageCache(tmp_path / "cache", 20_000)
    with pytest.raises(NotKeptError, match="more than the 20 kB left for them"):
        cache.of("things", paths[0].parent).keep(paths, rgb_as_shown, WHOLE, 0, int)
    assert files(cache, "*.pixels") == files(cache, "*.index") == []


def test_nothing_is_made_where_the_limit_is_0(
    paths: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = image_set(paths, ImageCache(tmp_path / "cache", 0))
    assert pixels(images) == pixels(image_set(paths))
    assert not (tmp_path / "cache").exists()
    assert caplog.messages == []


def test_work_that_is_stopped_leaves_nothing(paths: list[Path], cache: ImageCache) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        image_set(paths, cache).formed(WHOLE, on_image=stop)
    assert files(cache, "*.pixels") == files(cache, "*.index") == []


def test_one_data_set_or_all_are_removed_and_nothing_else(
    paths: list[Path], cache: ImageCache
) -> None:
    for name in ("things", "others"):
        files_and_cache = image_set(paths).with_cache(cache.of(name, paths[0].parent))
        for form in (WHOLE, CONV4_CROP):
            files_and_cache.formed(form)
    (cache.folder / "notes-01234567").write_text("mine")
    size = sum(form.size for form in kept_forms(cache.folder))
    removed, staying = remove(cache.folder, "things")
    assert 0 < removed < size
    assert {(form.dataset, form.form, form.images) for form in kept_forms(cache.folder)} == {
        ("others", "whole", 4),
        ("others", CONV4_CROP.name, 4),
    }
    assert remove(cache.folder) == (size - removed, staying) == (size - removed, 0)
    assert [one.name for one in cache.folder.iterdir()] == ["notes-01234567"]


@needs_root
@pytest.mark.parametrize("place", ["images", ""], ids=["of its own", "everybody's"])
def test_a_cache_of_another_user_is_left_alone(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_folder() as folder:
        path = folder / "a.bmp"
        Image.new("L", (9, 9), 7).save(path)
        path.chmod(0o644)
        stamp = path.stat().st_atime_ns, path.stat().st_mtime_ns
        everybodys = folder / "tmp"
        everybodys.mkdir()
        everybodys.chmod(0o1777)
        cache = ImageCache(everybodys / place)
        with acting_as(BOB, umask=0o022):
            cache.folder.mkdir(exist_ok=True)
            assert decoded(image_set([path], cache)) == 1
            for made in cache.folder.rglob("*"):
                made.chmod(0o777)
        # What he has made of it would be found, and be wrong.
        Image.new("L", (9, 9), 8).save(path)
        os.utime(path, ns=stamp)
        with acting_as(ALICE, umask=0o022):
            assert pixels(image_set([path], cache)) == pixels(image_set([path]))
    (line,) = caplog.messages
    assert f"/{place}" in line
    assert f" is user {BOB}'s; --image-cache names another folder" in line


@needs_root
@pytest.mark.parametrize(("mask", "refused"), [(0o002, 0), (0o077, 1)])
def test_users_of_a_group_share_a_cache_in_its_folder_as_the_umask_says(
    caplog: pytest.LogCaptureFixture, mask: int, refused: int
) -> None:
    with open_folder() as folder:
        path = folder / "a.png"
        Image.new("L", (9, 9), 7).save(path)
        path.chmod(0o644)
        cache = ImageCache(make_group_folder(folder / "group") / "images")
        with acting_as(ALICE, umask=mask, groups=(LAB,)):
            assert decoded(image_set([path], cache)) == 1
        with acting_as(BOB, umask=mask, groups=(LAB,)):
            images = image_set([path], cache)
            assert decoded(images) == 0  # found, or out of reach
            assert pixels(images) == pixels(image_set([path]))
    assert len(caplog.messages) == refused
