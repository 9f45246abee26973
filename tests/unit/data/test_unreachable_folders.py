import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from histsearch.data.dataset import load_dataset
from histsearch.data.inventory import take_inventory
from histsearch.data.known_datasets import find_dataset, find_official_dataset
from histsearch.data.layouts import missing_pieces
from histsearch.data.verification import inspect
from histsearch.exceptions import DataError
from tests.miniatures import write_cars196, write_cub200
from tests.privileges import without_privileges

CLASSES = ("auk", "bee", "cat", "dog")


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with ``own``, four classes of two images; anybody may enter it.

    Not under pytest's folder, which is locked to all but its own user.
    """
    with tempfile.TemporaryDirectory(prefix="histsearch-data-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in CLASSES:
            (root / "own" / name).mkdir(parents=True)
            for number in range(2):
                Image.new("L", (4, 4)).save(root / "own" / name / f"{number}.png")
        # Whatever is imported late is imported now.
        take_inventory(root)
        yield root
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)


def locked(folder: Path) -> Path:
    """Lock a folder, as ``chmod 000`` does."""
    folder.chmod(0)
    return folder


def break_listing(
    monkeypatch: pytest.MonkeyPatch, folder: Path, code: int, *, after: int = 0
) -> None:
    """Have the listing of a folder fail, as a disk does that breaks or is unmounted."""
    whole = os.scandir

    class Broken:
        def __init__(self, path: Any) -> None:
            self._entries = list(whole(path))[:after]
            if not after:
                raise OSError(code, os.strerror(code), str(path))

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return self._iterate()

        def __exit__(self, *_: object) -> None:
            pass

        def __next__(self) -> os.DirEntry[str]:
            raise OSError(code, os.strerror(code), str(folder))

        def _iterate(self) -> Iterator[os.DirEntry[str]]:
            yield from self._entries
            next(self)

    def scandir(path: Any = ".") -> Any:
        return Broken(path) if Path(path) == folder else whole(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_class_folder_that_is_locked_is_named(data: Path) -> None:
    folder = locked(data / "own" / "cat")
    with without_privileges(), pytest.raises(DataError) as refused:
        inspect(find_dataset("folder:own"), data)
    assert str(refused.value).startswith(f"{folder} can't be read (Permission denied): grant ")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_class_folder_on_a_broken_disk_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    break_listing(monkeypatch, data / "own" / "cat", code)
    with pytest.raises(DataError, match=rf"own/cat can't be read \({os.strerror(code)}\)"):
        load_dataset("folder:own", data)


def test_a_listing_that_breaks_off_midway_is_no_shorter_class(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_listing(monkeypatch, data / "own" / "cat", errno.EIO, after=1)
    with pytest.raises(DataError, match="own/cat can't be read"):
        load_dataset("folder:own", data)


def test_a_class_of_cub200_is_left_out_no_more_than_any_other(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cub200(data)
    bird = data / "CUB_200_2011" / "images" / "101.Bird"
    with monkeypatch.context() as patch:
        break_listing(patch, bird, errno.EIO)
        with pytest.raises(DataError, match=r"101\.Bird can't be read"):
            load_dataset("cub200", data)
    bird.rename(bird.with_name("moved"))
    bird.symlink_to(data / "unmounted")
    with pytest.raises(DataError, match=r"The link .*101\.Bird leads nowhere"):
        load_dataset("cub200", data)
    bird.unlink()
    locked(bird.with_name("moved").rename(bird))
    with without_privileges(), pytest.raises(DataError, match=r"101\.Bird can't be read"):
        load_dataset("cub200", data)


def test_a_class_folder_on_a_disk_that_is_not_mounted_is_named(data: Path) -> None:
    (data / "own" / "cow").symlink_to(data / "unmounted" / "cow")
    with pytest.raises(DataError, match=r"The link .*own/cow leads nowhere: bring back the folder"):
        load_dataset("folder:own", data)
    assert {entry.name: entry.state for entry in take_inventory(data)}["folder:own"] == "unreadable"


def test_a_link_around_in_a_circle_is_named(data: Path) -> None:
    (data / "own" / "cow").symlink_to("cow")
    with pytest.raises(DataError, match="own/cow can't be read"):
        load_dataset("folder:own", data)


@pytest.mark.parametrize("name", ["cars196", "cub200", "folder:own"])
def test_a_data_folder_that_can_not_be_reached_is_an_error_of_the_data(
    data: Path, name: str
) -> None:
    locked(data)
    with without_privileges(), pytest.raises(DataError, match="can't be read"):
        load_dataset(name, data)


@pytest.mark.parametrize("name", ["a" * 5_000, "é" * 5_000, "a/" * 5_000, "a\0b", "\ud800"])
def test_a_name_that_the_file_system_refuses_is_an_error_of_the_data(data: Path, name: str) -> None:
    with pytest.raises(DataError) as refused:
        load_dataset(f"folder:{name}", data)
    assert len(str(refused.value)) < 600


def test_the_list_goes_on_after_what_can_not_be_read(data: Path) -> None:
    write_cars196(data)
    (data / "other").mkdir()
    folders = [locked(data / "cars196"), locked(data / "other")]
    with without_privileges():
        entries = {entry.name: entry for entry in take_inventory(data)}
    assert entries["folder:own"].state == "too small"
    assert entries["cub200"].state == "missing"
    for name, folder in zip(("cars196", "folder:other"), folders, strict=True):
        assert entries[name].state == "unreadable"
        assert str(folder) in entries[name].faults[0]


def test_of_a_data_folder_that_can_not_be_read_each_row_says_so(data: Path) -> None:
    locked(data)
    with without_privileges():
        entries = {entry.name: entry for entry in take_inventory(data)}
    assert entries["glyphs"].state == "ready"
    unreadable = {"cub200", "cars196", "sop", "inshop", "folder"}
    assert {name for name, entry in entries.items() if entry.state == "unreadable"} == (unreadable)
    assert all("Permission denied" in entries[name].faults[0] for name in unreadable)


def test_what_is_there_and_locked_is_not_prepared_anew(data: Path) -> None:
    write_cub200(data)
    locked(data / "CUB_200_2011" / "images")
    with without_privileges(), pytest.raises(DataError, match="CUB_200_2011/images"):
        missing_pieces(find_official_dataset("cub200").layouts, data)
