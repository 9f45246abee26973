"""The layouts that the readers of the official data sets expect, made from official archives."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histsearch.data.archives import is_archive, unpack
from histsearch.data.file_system import FOLDER, PLAIN_FILE, entries, holds, kind_at
from histsearch.exceptions import DataError

ARCHIVES_FOLDER = "archives"
"""Subfolder of the data folder where archives are looked for, besides the data folder itself."""

# Levels of folders that are searched for a piece, the temporary one among them.
_DEPTH = 5
_FEW = 8


@dataclass(frozen=True)
class Piece:
    """A folder or a file that a reader needs.

    Attributes:
        destination: Where it belongs, relative to the data folder.
        archive: Official name of the download that holds it, or that it is.
        content: Pattern of what lies in the folder, by which it is recognised under any name;
            None for a file, which is recognised by its name.
    """

    destination: Path
    archive: str
    content: str | None = None

    def is_at(self, path: Path) -> bool:
        """Whether ``path``, which for a file has the name of this piece, is this piece."""
        if self.content is None:
            return kind_at(path) == PLAIN_FILE
        return holds(path, self.content)

    def description(self) -> str:
        """What is looked for, for messages."""
        if self.content is None:
            return f"a file {self.destination.name}"
        return f"a folder {self.destination.name} that holds {self.content}"


LAYOUTS: dict[str, tuple[Piece, ...]] = {
    "cub200": (Piece(Path("CUB_200_2011"), "CUB_200_2011.tgz", "images/[0-9]*.*"),),
    "cars196": (
        Piece(Path("cars196/car_ims"), "car_ims.tgz", "*.jpg"),
        Piece(Path("cars196/cars_annos.mat"), "cars_annos.mat"),
    ),
    "sop": (
        Piece(Path("Stanford_Online_Products"), "Stanford_Online_Products.zip", "Ebay_train.txt"),
    ),
    "inshop": (
        Piece(Path("Inshop_Clothes/Img/img"), "img.zip", "*MEN"),
        Piece(Path("Inshop_Clothes/Eval/list_eval_partition.txt"), "list_eval_partition.txt"),
    ),
}


def missing_pieces(name: str, data_dir: Path) -> list[Piece]:
    """Return the pieces of an official data set that aren't in place.

    Raises:
        DataError: If there is no official archive of that data set.
    """
    if name not in LAYOUTS:
        raise DataError(
            f"The data set {name!r} has no official archive to prepare: choose one of "
            f"{', '.join(LAYOUTS)}."
        )
    return [piece for piece in LAYOUTS[name] if not piece.is_at(data_dir / piece.destination)]


def find_archives(pieces: Sequence[Piece], data_dir: Path) -> list[Path]:
    """Find the official archives of these pieces in the data folder or its ``archives``.

    Raises:
        DataError: If one of them is in neither.
    """
    folders = (data_dir, data_dir / ARCHIVES_FOLDER)
    found: list[Path] = []
    absent: list[str] = []
    for piece in pieces:
        there = [folder / piece.archive for folder in folders if (folder / piece.archive).is_file()]
        found += there[:1]
        absent += [] if there else [piece.archive]
    if absent:
        raise DataError(
            f"There is no {' and no '.join(absent)} in {folders[0]} or {folders[1]}: download "
            "what is missing from the data set's official page and put it there, or name it with "
            "--archive. histsearch downloads nothing."
        )
    return found


def put_in_place(pieces: Sequence[Piece], archives: Sequence[Path], data_dir: Path) -> None:
    """Unpack archives and move the pieces to where the readers look for them.

    Everything is unpacked into a temporary folder inside ``data_dir`` first, so an error leaves
    nothing behind. The archives stay as they are.

    Args:
        pieces: The pieces to put in place.
        archives: Archives, or the plain files among the pieces, under any names for the former.
        data_dir: The data folder, created if need be.

    Raises:
        DataError: If an archive can't be unpacked safely and wholly, if the pieces aren't among
            what it holds, or if something else lies where they belong.
    """
    for piece in pieces:
        _check_destination(piece, data_dir / piece.destination)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".prepare-", dir=data_dir) as temporary:
            for archive in dict.fromkeys(archives):
                _stage(archive, Path(temporary, archive.name))
            located = [(piece, _locate(piece, Path(temporary))) for piece in pieces]
            for piece, path in located:
                destination = data_dir / piece.destination
                destination.parent.mkdir(parents=True, exist_ok=True)
                path.rename(destination)
    except OSError as error:
        raise DataError(
            f"The data set can't be put into {data_dir} ({error.strerror}): free space or grant "
            "access, then try again."
        ) from error


def _check_destination(piece: Piece, destination: Path) -> None:
    kind = kind_at(destination)
    if kind is not None and not (kind == FOLDER and not entries(destination)):
        raise DataError(
            f"{destination} exists, but isn't {piece.description()}: move it away, then try again."
        )


def _stage(archive: Path, folder: Path) -> None:
    if not archive.is_file():
        raise DataError(f"There is no file {archive}: name the archive where you saved it.")
    folder.mkdir()
    if is_archive(archive):
        unpack(archive, folder)
    else:
        shutil.copyfile(archive, folder / archive.name)


def _locate(piece: Piece, staging: Path) -> Path:
    """Find the one place of a piece among what was unpacked."""
    found = _search(piece, staging, _DEPTH)
    if len(found) == 1:
        return found[0]
    if found:
        problem = f"{len(found)} of that kind: {_names(found, staging)}"
    else:
        top = [path for folder in sorted(staging.iterdir()) for path in sorted(folder.iterdir())]
        problem = f"none. At the top there is {_names(top, staging) or 'nothing'}"
    raise DataError(
        f"Expected {piece.description()}, but found {problem}. Name the official {piece.archive} "
        "with --archive."
    )


def _search(piece: Piece, folder: Path, depth: int) -> list[Path]:
    """Return the outermost places of a piece, ``folder`` itself included."""
    # Beside the piece there may be a variant of it, such as img_highres beside img.
    named = folder / piece.destination.name
    for path in (folder, named):
        if piece.is_at(path):
            return [path]
    if depth == 0:
        return []
    # Archives made on macOS repeat their folders there, with files of another kind.
    below = [path for path in folder.iterdir() if path.is_dir() and path.name != "__MACOSX"]
    return [found for path in sorted(below) for found in _search(piece, path, depth - 1)]


def _names(paths: Sequence[Path], staging: Path) -> str:
    """Name the first few paths, each beginning with the archive that it comes from."""
    names = [path.relative_to(staging).as_posix() for path in paths[:_FEW]]
    more = f" and {len(paths) - _FEW} more" if len(paths) > _FEW else ""
    return ", ".join(names) + more
