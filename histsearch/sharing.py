"""Files that several users share: with which rights they are made, and whose they are.

A folder that its group may write to is shared, and so is what lies in it. What is made there
belongs to the folder's group, with the rights that the umask leaves. Anywhere else histsearch's own
files are their user's alone.
"""

import errno
import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


def is_shared(folder: Path) -> bool:
    """Whether a group may write to a folder or to one above it, with none between closed to it.

    A folder for everybody's temporary files is no group's, nor is one that can't be looked at.
    """
    real = folder.resolve()
    for part in (real, *real.parents):
        try:
            mode = part.stat().st_mode
        except OSError:
            return False
        is_temporary = mode & stat.S_ISVTX and mode & stat.S_IWOTH
        if mode & stat.S_IWGRP and not is_temporary:
            return True
        if not mode & stat.S_IRWXG:
            return False
    return False


def give_to_group(made: Path | int, folder: Path) -> None:
    """Give what was just made in a shared folder to the folder's group, where that is allowed.

    Args:
        made: A path, or the descriptor of an open file.
        folder: The folder that it was made in.
    """
    # Its user may not be of that group, and not every file system knows groups.
    with suppress(OSError):
        os.chown(made, -1, folder.stat().st_gid)


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Make a folder and those above it, where they don't exist; they survive a loss of power.

    Args:
        folder: The folder.
        private: For this user alone, unless the one above is shared.

    Raises:
        OSError: A file is in the way, or a folder can't be written to.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, private=private)
    shared = is_shared(folder.parent)
    try:
        folder.mkdir(0o700 if private and not shared else 0o777)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    if shared:
        give_to_group(folder, folder.parent)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems can't do this for a folder; there is nothing more to be done.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Barrier:
    """What keeps this user from a path, and belongs to another one.

    Attributes:
        path: A file or a folder.
        owner: Name of its user; "user 1234" for one without a name here.
        mode: Its permissions.
    """

    path: Path
    owner: str
    mode: int

    def __str__(self) -> str:
        """What it is, whose, and its mode."""
        return f"{self.path} is {self.owner}'s, with mode {self.mode:04o}"


def barrier_to(path: Path, *, writing: bool) -> Barrier | None:
    """What of another user's keeps this one from a path; None if it is this user's own.

    Args:
        path: The path, which the file system has refused.
        writing: Whether it was to be written or removed, which takes a right on its folder.
    """
    found = nearest(path.parent) if writing else nearest(path)
    if writing and os.access(found, os.W_OK | os.X_OK, effective_ids=True):
        found = nearest(path)
    status = found.lstat()
    if status.st_uid == os.geteuid():
        return None
    return Barrier(found, user_name(status.st_uid), stat.S_IMODE(status.st_mode))


def nearest(path: Path) -> Path:
    """A path, or the nearest folder above it that this user can see."""
    for part in (path, *path.parents):
        with suppress(OSError):
            part.lstat()
            return part
    return path


def user_name(user: int) -> str:
    """Name of a user; "user 1234" for one without a name here."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
