"""The door of the server: a socket in a private folder, and no user but its owner let in."""

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from histsearch.database.embedded_postgres.account import Account

PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"

_SYSTEM_TEMPORARY_FOLDER = Path("/tmp")  # noqa: S108 - where TMPDIR's name is too long as well
_LONGEST_ADDRESS_BYTES = 103  # of a Unix socket: 107 on Linux, 103 on macOS
_TRIAL = ".s.histsearch"  # as long as the socket's name
_NOTE = "# Written by histsearch at every start.\n"


def is_restricted(folder: Path, account: Account) -> bool:
    """Whether none but this user, root and the server's account may connect."""
    return all(_text(folder / name) == text for name, text in _rules(account).items())


def restrict(folder: Path, account: Account) -> None:
    """Let none but this user, root and the server's account connect to a folder's server.

    The kernel tells the server whose process is at the socket's other end.
    """
    with account.acting():
        for name, text in _rules(account).items():
            new = folder / f"{name}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(new, flags, 0o600), "w") as stream:
                stream.write(text)
            new.replace(folder / name)


def socket_folder(folder: Path, account: Account) -> Path:
    """The private folder for a server's socket.

    That is its database folder. Where that can't hold a socket, it is a folder of the account's
    below the temporary folder.

    Raises:
        OSError: None can be made.
    """
    if _can_hold_socket(folder):
        return folder
    temporary = Path(tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    name = f"histsearch-{account.uid}-{digest}"
    parent = temporary if _fits(temporary / name) else _SYSTEM_TEMPORARY_FOLDER
    private = parent / name
    try:
        private.mkdir(mode=stat.S_IRWXU)
    except FileExistsError:
        if not _is_private(private, account):  # somebody else expected this name
            private = Path(tempfile.mkdtemp(prefix="histsearch-", dir=parent))
    account.take(private)
    return private


def remove_socket_folder(folder: Path) -> None:
    """Remove the private folder of a server that has ended."""
    with suppress(OSError):  # gone already, or not as it was left: it does no harm
        folder.rmdir()


def _rules(account: Account) -> dict[str, str]:
    """The text of each file that says who may connect."""
    users = {account.name, Account.of_uid(os.geteuid()).name, "root"}
    names = "".join(f"histsearch {_quoted(user)} all\n" for user in sorted(users))
    return {
        "pg_hba.conf": f"{_NOTE}local all all peer map=histsearch\n",
        "pg_ident.conf": _NOTE + names,
    }


def _text(file: Path) -> str | None:
    try:
        return file.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _can_hold_socket(folder: Path) -> bool:
    """Whether libpq can name the folder and its file system has sockets."""
    if not _fits(folder):
        return False
    trial = folder / _TRIAL
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(os.fsencode(trial))
    except OSError:
        return False
    trial.unlink()
    return True


def _fits(folder: Path) -> bool:
    name = os.fsencode(folder / SOCKET)
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return False
    # libpq takes a comma for the end of one host among several.
    return len(name) <= _LONGEST_ADDRESS_BYTES and "," not in text


def _is_private(folder: Path, account: Account) -> bool:
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == account.uid
        and not stat.S_IMODE(found.st_mode) & 0o077
    )
