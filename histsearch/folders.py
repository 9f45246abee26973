"""Where histsearch keeps its own files, and looks for data sets."""

import os
import stat
import tempfile
import unicodedata
from pathlib import Path, PurePath

import platformdirs

from histsearch.exceptions import FolderError
from histsearch.sharing import make_folder, nearest, user_name

HOME_VARIABLE = "HISTSEARCH_HOME"
DATA_VARIABLE = "HISTSEARCH_DATA"
CHECKPOINTS_VARIABLE = "HISTSEARCH_CHECKPOINTS"
IMAGE_CACHE_VARIABLE = "HISTSEARCH_IMAGE_CACHE"

_LASTING_TEMPORARY = Path("/var/tmp")  # noqa: S108 - what others put there is refused
_ROOT = 0
_PASSABLE = 0o711
_NOBODY = 65534  # whoever has no name in a container, or on a network file system


def home() -> Path:
    """The folder of histsearch's own files: ``HISTSEARCH_HOME``, or the user's data folder.

    Raises:
        FolderError: It lies in the home folder of another user than root, who runs this process.
    """
    configured = os.environ.get(HOME_VARIABLE)
    if configured:
        return Path(configured).expanduser().resolve()
    _refuse_home_of_another()
    return platformdirs.user_data_path("histsearch").expanduser().resolve()


def make_home() -> None:
    """Make the folder of histsearch's own files, where it doesn't exist.

    It is for this user alone, unless ``HISTSEARCH_HOME`` places it in a shared folder.

    Raises:
        OSError: It can't be made.
        FolderError: It lies in the home folder of another user than root, who runs this process.
    """
    folder = home()
    if os.geteuid() == _ROOT:
        _make_passable(folder)
    if os.environ.get(HOME_VARIABLE):
        make_folder(folder, private=True)
    elif not folder.is_dir():
        make_folder(folder.parent, private=True)
        folder.mkdir(stat.S_IRWXU, exist_ok=True)


def _make_passable(folder: Path) -> None:
    """Make root's folder so that its embedded PostgreSQL, which runs as another user, may pass.

    What lies in it is private. Each folder appears with its mode, whatever the umask: another
    process may be looking.
    """
    for part in (*reversed(folder.parents), folder):
        if part.exists():
            continue
        new = Path(tempfile.mkdtemp(prefix=".histsearch-", dir=part.parent))
        new.chmod(_PASSABLE)
        try:
            new.rename(part)
        except OSError:
            new.rmdir()
            if not part.is_dir():  # by another process, and in use already
                raise


def _refuse_home_of_another() -> None:
    """Refuse what sudo may bring about, and no file system refuses to root."""
    if os.geteuid() != _ROOT:
        return
    folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home())
    owner = nearest(folder).stat().st_uid
    if owner not in (_ROOT, _NOBODY):
        name = user_name(owner)
        raise FolderError(
            f"found root with {folder} for its home folder, which is {name}'s; histsearch writes "
            f"nothing there: run it as {name}, with sudo -H, or set {HOME_VARIABLE}"
        )


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


def image_cache_folder(option: Path | None = None) -> Path:
    """Folder of decoded images: as asked for, else ``HISTSEARCH_IMAGE_CACHE``, else the user's own.

    The latter lies in ``/var/tmp``: a home folder may be on a network, and ``/tmp`` in memory.
    """
    configured = option or os.environ.get(IMAGE_CACHE_VARIABLE)
    if configured:
        return Path(configured).expanduser()
    return _LASTING_TEMPORARY / f"histsearch-images-{os.geteuid()}"


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
