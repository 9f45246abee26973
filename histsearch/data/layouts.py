"""Layouts that the readers of the official data sets expect, made from official archives."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histsearch.data.archives import is_archive, unpack
from histsearch.data.file_system import FOLDER, PLAIN_FILE, entries, holds, kind_at
from histsearch.exceptions import DataError
from histsearch.sharing import make_folder

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
        content: Pattern of what lies in the folder; None for a file.
        under_any_name: Whether the folder is recognised by its content alone; else, and always
            for a file, its name must be that of the destination.
        other_place: Where the readers look for it as well, relative to the data folder.
    """

    destination: Path
    archive: str
    content: str | None = None
    under_any_name: bool = True
    other_place: Path | None = None

    def is_at(self, path: Path) -> bool:
        """Whether this piece lies at ``path``."""
        if self.content is None:
            return kind_at(path) == PLAIN_FILE
        return holds(path, self.content)

    def is_in_place(self, data_dir: Path) -> bool:
        """Whether it lies where the readers look for it."""
        places = (self.destination, self.other_place)
        return any(self.is_at(data_dir / place) for place in places if place is not None)

    def description(self) -> str:
        """What is looked for, for messages."""
        if self.content is None:
            return f"a file {self.destination.name}"
        return f"a folder {self.destination.name} that holds {self.content}"


Layout = tuple[Piece, ...]
"""The pieces that a reader needs of one form of a data set."""


def missing_pieces(layouts: Sequence[Layout], data_dir: Path) -> list[list[Piece]]:
    """Return the pieces that aren't in place, for each layout of a data set.

    Returns:
        The pieces of each layout, that of which most is in place first; nothing if one is whole.
    """
    missing = [
        [piece for piece in layout if not piece.is_in_place(data_dir)]
        for layout in sorted(
            layouts, key=lambda layout: _number_in_place(layout, data_dir), reverse=True
        )
    ]
    return missing if all(missing) else []


def is_begun(layouts: Sequence[Layout], data_dir: Path) -> bool:
    """Whether a piece of a data set is in place."""
    return any(_number_in_place(layout, data_dir) for layout in layouts)


def _number_in_place(layout: Layout, data_dir: Path) -> int:
    return sum(piece.is_in_place(data_dir) for piece in layout)


def find_archives(layouts: Sequence[Sequence[Piece]], data_dir: Path) -> list[Path]:
    """Find the official archives of one layout in the data folder or its ``archives``.

    Args:
        layouts: The pieces that each of them needs, as `missing_pieces` returns them.
        data_dir: The data folder.

    Returns:
        The archives of the first layout that has all of them.

    Raises:
        DataError: If each layout lacks one.
    """
    folders = (data_dir, data_dir / ARCHIVES_FOLDER)
    lacking: list[str] = []
    for pieces in layouts:
        places = {piece.archive: _find(piece.archive, folders) for piece in pieces}
        found = [path for path in places.values() if path is not None]
        if len(found) == len(places):
            return found
        lacking.append(" and no ".join(name for name, path in places.items() if path is None))
    raise DataError(
        f"There is no {'; and for its other form, no '.join(lacking)} in {folders[0]} or "
        f"{folders[1]}: download what is missing from the data set's official page and put it "
        "there, or name it with --archive. histsearch downloads nothing."
    )


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def put_in_place(
    layouts: Sequence[Sequence[Piece]], archives: Sequence[Path], data_dir: Path
) -> None:
    """Unpack archives and move the pieces of a layout to where the readers look for them.

    Everything is unpacked into a temporary folder inside ``data_dir`` first, so an error leaves
    nothing behind. The archives stay as they are.

    Args:
        layouts: The pieces that each of them needs; the first that the archives hold is put in
            place.
        archives: Archives, or the plain files among the pieces, under any names for the former.
        data_dir: The data folder, created if need be.

    Raises:
        DataError: If an archive can't be unpacked safely and wholly, if the pieces aren't among
            what it holds, or if something else lies where they belong.
    """
    for piece in (piece for pieces in layouts for piece in pieces):
        _check_destination(piece, data_dir / piece.destination)
    try:
        make_folder(data_dir)
        with tempfile.TemporaryDirectory(prefix=".prepare-", dir=data_dir) as temporary:
            for archive in dict.fromkeys(archives):
                _stage(archive, Path(temporary, archive.name))
            for piece, path in _locate(layouts, Path(temporary)):
                destination = data_dir / piece.destination
                make_folder(destination.parent)
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


def _locate(layouts: Sequence[Sequence[Piece]], staging: Path) -> list[tuple[Piece, Path]]:
    """Find the one place of each piece of the first layout that was unpacked whole."""
    refusals: list[tuple[float, DataError]] = []
    for pieces in layouts:
        places = [(piece, _search(piece, staging, _DEPTH)) for piece in pieces]
        unclear = [(piece, found) for piece, found in places if len(found) != 1]
        if not unclear:
            return [(piece, found) for piece, (found,) in places]
        refusals.append((len(unclear) / len(places), _unclear(*unclear[0], staging)))
    raise min(refusals, key=lambda refusal: refusal[0])[1]


def _unclear(piece: Piece, found: Sequence[Path], staging: Path) -> DataError:
    if found:
        problem = f"{len(found)} of that kind: {_names(found, staging)}"
    else:
        top = [path for folder in sorted(staging.iterdir()) for path in sorted(folder.iterdir())]
        problem = f"none. At the top there is {_names(top, staging) or 'nothing'}"
    return DataError(
        f"Expected {piece.description()}, but found {problem}. Name the official {piece.archive} "
        "with --archive."
    )


def _search(piece: Piece, folder: Path, depth: int) -> list[Path]:
    """Return the outermost places of a piece, ``folder`` itself included."""
    # Beside the piece there may be a variant of it, such as img_highres beside img.
    named = folder / piece.destination.name
    for path in (folder, named) if piece.under_any_name else (named,):
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
