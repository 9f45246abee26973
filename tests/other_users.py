"""Programs run by other users of the machine, as root can start them."""

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ALICE, BOB = "games", "news"
"""Two accounts that every Linux has, and that own nothing else here."""

_REPOSITORY = Path(__file__).parents[1]


def as_user(user: str, command: Sequence[str]) -> list[str]:
    """The command line that runs a command as another user.

    Python may lie in root's private folder. The command finds it in a mount namespace of its own,
    so that no mode changes.
    """
    account = pwd.getpwnam(user)
    become = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
    become += ["--clear-groups", "--no-new-privs"]
    opening = _opening()
    if not opening:
        return [*become, *command]
    script = f'{opening} && exec "$@"'
    return ["unshare", "--mount", "sh", "-ec", script, "sh", *become, *command]


@cache
def missing_for_other_users() -> str | None:
    """Why no program can be run as another user here; None if it can."""
    if os.geteuid() != 0:
        return "needs root, to become other users"
    for program in ("setpriv", "unshare"):
        if shutil.which(program) is None:
            return f"needs {program}, of util-linux"
    for user in (ALICE, BOB):
        trial = as_user(user, [sys.executable, "-c", "import histsearch"])
        done = subprocess.run(trial, capture_output=True, text=True, cwd=_REPOSITORY)
        if done.returncode != 0:
            return f"can't run Python as {user}: {done.stderr.strip()[-200:]}"
    return None


def _opening() -> str:
    """Shell commands that put what Python needs in place of closed folders; empty if none is."""
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), _REPOSITORY}
    closed = {folder: path for path in sorted(needed) if (folder := _closed(path)) is not None}
    commands: list[str] = []
    for folder in closed:
        inside = [path for path in sorted(needed) if path.is_relative_to(folder)]
        aside = Path(tempfile.gettempdir()) / f"histsearch-aside-{os.getpid()}"
        commands.append(f"mkdir -p {aside} && mount -t tmpfs -o mode=755 tmpfs {aside}")
        for place, path in enumerate(inside):
            commands.append(
                f"mkdir {aside}/{place} && mount --bind {_quoted(path)} {aside}/{place}"
            )
        commands.append(f"mount -t tmpfs -o mode=755 tmpfs {_quoted(folder)}")
        for place, path in enumerate(inside):
            commands.append(f"mkdir -p {_quoted(path)}")
            commands.append(f"mount --bind {aside}/{place} {_quoted(path)}")
    return " && ".join(commands)


def _closed(path: Path) -> Path | None:
    """The outermost folder on the way to a path that others may not pass."""
    for folder in (*reversed(path.parents), path):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
