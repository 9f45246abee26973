"""Where histsearch keeps its own files, and looks for data sets."""

import os
import unicodedata
from pathlib import Path, PurePath

import platformdirs

HOME_VARIABLE = "HISTSEARCH_HOME"
DATA_VARIABLE = "HISTSEARCH_DATA"
CHECKPOINTS_VARIABLE = "HISTSEARCH_CHECKPOINTS"


def home() -> Path:
    """The folder of histsearch's own files: ``HISTSEARCH_HOME``, or the user's data folder."""
    configured = os.environ.get(HOME_VARIABLE)
    folder = Path(configured) if configured else platformdirs.user_data_path("histsearch")
    return folder.expanduser().resolve()


def data_folder(option: Path | None = None) -> Path:
    """Folder of the data sets: as asked for, else ``HISTSEARCH_DATA``, else ``data`` at home."""
    configured = option or os.environ.get(DATA_VARIABLE)
    return Path(configured).expanduser() if configured else home() / "data"


def checkpoint_location(option: str | None = None) -> str:
    """Where checkpoints lie: as asked for, else ``HISTSEARCH_CHECKPOINTS``, else at home.

    A folder, or an address with a scheme such as ``s3://``, which is returned as it is.
    """
    configured = option or os.environ.get(CHECKPOINTS_VARIABLE)
    if configured and "://" in configured:
        return configured
    return str(Path(configured).expanduser() if configured else home() / "checkpoints")


def composed(name: str) -> str:
    """A name in Unicode's normal form C, in which names are compared: é is one code point."""
    return unicodedata.normalize("NFC", name)


def path_below(folder: Path, name: str) -> Path:
    """The path of that name below a folder, with the code points that it has on disk.

    macOS and Linux may write one name with different code points. A name that isn't there in
    either form is returned as it is.

    Raises:
        OSError: A folder on the way can't be listed, or the file system takes no such name.
        ValueError: No file can have that name.
    """
    path = folder
    for part in PurePath(name).parts:
        path = _as_on_disk(path, part)
    return path


def _as_on_disk(folder: Path, name: str) -> Path:
    exact = folder / name
    if name.isascii() or os.path.lexists(exact):
        return exact
    try:
        with os.scandir(folder) as listing:
            alike = sorted(e.name for e in listing if composed(e.name) == composed(name))
    except (FileNotFoundError, NotADirectoryError):
        return exact
    return folder / alike[0] if alike else exact
