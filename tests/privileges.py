"""Code run without root's privileges, for which no folder is locked, or as one of several users."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = 65534

ALICE, BOB, LAB = 70001, 70002, 70000
"""Two users, whose own groups have the same numbers, and a group of both: none has a name."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


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


@contextmanager
def acting_as(user: int, *, umask: int, groups: Sequence[int] = (LAB,)) -> Iterator[None]:
    """Act as a user, with a group of its own and others besides; for root alone.

    Modules that the block needs must have been imported before.
    """
    own_groups, own_umask = os.getgroups(), os.umask(umask)
    os.setgroups(groups)
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(own_groups)
        os.umask(own_umask)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder whose path every user may follow, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="histsearch-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def make_group_folder(folder: Path, mode: int = 0o2770) -> Path:
    """A folder of the group `LAB`."""
    folder.mkdir()
    os.chown(folder, 0, LAB)
    folder.chmod(mode)
    return folder
