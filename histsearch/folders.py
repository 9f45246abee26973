"""Where histsearch keeps its own files, and looks for data sets."""

import os
from pathlib import Path

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
