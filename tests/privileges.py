"""Code run without root's privileges, for which no folder is locked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let the file system refuse what it would refuse any user.

    Modules that the block needs must have been imported before: root's may be locked to others.
    """
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
