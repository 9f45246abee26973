"""Unpacking of archives that others made, without trusting their members' names."""

import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from histsearch.exceptions import DataError

_TAR_SUFFIXES = (".tgz", ".tar.gz", ".tar")
_ZIP_SUFFIX = ".zip"
# What the two modules raise for an archive that is cut off, damaged, encrypted or none at all.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def is_archive(path: Path) -> bool:
    """Whether `unpack` takes a file of this name."""
    return path.name.lower().endswith((*_TAR_SUFFIXES, _ZIP_SUFFIX))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive; what an error leaves in ``folder`` is the caller's to remove.

    Args:
        archive: A file named ``.tgz``, ``.tar.gz``, ``.tar`` or ``.zip``.
        folder: An empty folder.

    Raises:
        DataError: If a member would be written outside ``folder``, is a symbolic link, a hard link
            to outside or a device, if the archive is damaged, or if it can't be read or written
            out.
    """
    extract = _unpack_zip if archive.name.lower().endswith(_ZIP_SUFFIX) else _unpack_tar
    try:
        extract(archive, folder)
    except _DAMAGE as error:
        raise DataError(_damaged(archive, error)) from error
    except OSError as error:
        # A file that isn't compressed as its name says has no errno: nothing went wrong outside.
        if error.errno is None:
            raise DataError(_damaged(archive, error)) from error
        raise DataError(
            f"The archive {archive} can't be unpacked ({error.strerror}): free space or grant "
            "access, then try again."
        ) from error


def _damaged(archive: Path, error: Exception) -> str:
    return f"The archive {archive} is damaged or incomplete ({error}): download it again."


def _unpack_tar(archive: Path, folder: Path) -> None:
    def checked(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo:
        # The data filter would unpack an absolute name as a relative one.
        if PurePosixPath(member.name).is_absolute():
            raise _unsafe(archive, member.name, "its name is an absolute path")
        # One that points inside may point outside once its folder is moved.
        if member.issym():
            raise _unsafe(archive, member.name, "it is a symbolic link")
        try:
            safe = tarfile.data_filter(member, destination)
        except tarfile.FilterError as error:
            raise _unsafe(archive, member.name, str(error)) from error
        # Who may read what is unpacked is the umask's to say, as with a zip archive.
        return safe.replace(mode=None, deep=False)  # type: ignore[arg-type]

    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter=checked)  # noqa: S202 - checked by the filter


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            _check_zip_member(archive, member)
        opened.extractall(folder)  # noqa: S202 - checked just now


def _check_zip_member(archive: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    if path.is_absolute():
        raise _unsafe(archive, member.filename, "its name is an absolute path")
    if ".." in path.parts:
        raise _unsafe(archive, member.filename, "its name leads out of the folder")
    # The upper half holds the Unix mode, or zeros if the archive was made elsewhere.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(archive, member.filename, "it is a symbolic link or a device")


def _unsafe(archive: Path, member: str, reason: str) -> DataError:
    return DataError(
        f"The archive {archive} isn't safe to unpack, because of its member {member!r} ({reason}): "
        "download the official one again."
    )
