"""What is no plain file is refused by name, and never opened: that alone would wait for ever."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from histsearch.data.dataset import load_dataset
from histsearch.data.decoding import UnreadableImageError, decode
from histsearch.data.inventory import State, take_inventory
from histsearch.data.known_datasets import find_dataset
from histsearch.data.listing import read_listing
from histsearch.data.readable_images import without_unreadable
from histsearch.data.verification import decoding_faults, inspect
from histsearch.exceptions import DataError


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a FIFO"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_only_plain_files_are_read_as_images(
    tmp_path: Path, data_dir: Path, make: Callable[[Path], object], kind: str
) -> None:
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    path = tmp_path / "stripes" / "class03" / "8.png"
    make(path)

    sentence = f"{path} can't be read \\(it is {kind}, allowed: plain files\\): replace it, remove"
    with pytest.raises(UnreadableImageError, match=sentence):
        decode(path)
    dataset = load_dataset("folder:stripes", tmp_path)
    assert path in dataset.train.paths
    assert len(without_unreadable(dataset, 0).train) == len(dataset.train) - 1

    inspection = inspect(find_dataset("folder:stripes"), tmp_path)
    assert inspection.faults == (f"1 of 97 images aren't plain files: {path} ({kind})",)
    assert decoding_faults(inspection.paths, 0) == []
    (own,) = [entry for entry in take_inventory(tmp_path) if entry.name == "folder:stripes"]
    assert own.state == State.incomplete


@pytest.mark.timeout(20)
def test_a_listing_or_a_split_that_is_a_pipe_is_refused(tmp_path: Path, data_dir: Path) -> None:
    listing = tmp_path / "Ebay_train.txt"
    os.mkfifo(listing)
    with pytest.raises(DataError, match=r"Ebay_train\.txt can't be read \(it is a FIFO"):
        list(read_listing(listing, header_lines=1, columns=("image_id", "path")))

    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    os.mkfifo(tmp_path / "stripes" / "split.csv")
    with pytest.raises(DataError, match=r"split\.csv is a FIFO, but must be a plain file"):
        load_dataset("folder:stripes", tmp_path)


def test_a_folder_named_like_an_image_is_a_class_where_no_image_lies_beside_it(
    tmp_path: Path, data_dir: Path
) -> None:
    shutil.copytree(data_dir / "stripes", tmp_path / "stripes")
    (tmp_path / "stripes" / "class03").rename(tmp_path / "stripes" / "class03.png")
    assert "class03.png" in load_dataset("folder:stripes", tmp_path).train.class_names


def test_too_many_open_files_are_no_fault_of_an_image(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("histsearch.data.image_set.Image.open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        without_unreadable(load_dataset("folder:stripes", data_dir), 0)
    with pytest.raises(UnreadableImageError):
        decode(tmp_path)
