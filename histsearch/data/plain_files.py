"""Plain files, which are all that data sets are read from.

A named pipe or a device is never opened: that alone may wait for ever, or do something.
"""

import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def other_kind(path: Path) -> str | None:
    """What a path leads to, such as "a named pipe"; None if to a plain file, or to nothing."""
    try:
        mode = path.stat().st_mode
    except OSError:  # to open it says why
        return None
    if stat.S_ISREG(mode):
        return None
    return next((kind for is_one, kind in _KINDS if is_one(mode)), "a device")


def check_plain(path: Path) -> None:
    """Make sure that a path may be opened.

    Raises:
        OSError: It leads to something else than a plain file.
    """
    kind = other_kind(path)
    if kind is not None:
        raise OSError(f"it is {kind}, allowed: plain files")
