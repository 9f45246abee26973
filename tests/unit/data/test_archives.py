import io
import os
import resource
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histsearch.data.archives import unpack
from histsearch.exceptions import DataError


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    member.size = 8 if kind == tarfile.REGTYPE else 0
    return member


def zip_with(path: Path, name: str, mode: int = 0o100644) -> Path:
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "text")
    return path


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "folder"
    folder.mkdir(parents=True)
    return folder


def test_files_and_folders_come_out(tmp_path: Path, folder: Path) -> None:
    members = [tar_member("top/", tarfile.DIRTYPE), tar_member("top/a.jpg")]
    hard_link = tar_member("top/b.jpg", tarfile.LNKTYPE, "top/a.jpg")
    unpack(tar_with(tmp_path / "a.tgz", *members, hard_link), folder)
    assert (folder / "top" / "b.jpg").read_bytes() == bytes(8)
    unpack(zip_with(tmp_path / "A.ZIP", "other/c.txt"), folder)
    assert (folder / "other" / "c.txt").read_text() == "text"


@pytest.mark.parametrize(
    "member",
    [
        tar_member("../evil"),
        tar_member("top/../../evil"),
        tar_member("/evil"),
        tar_member("evil", tarfile.SYMTYPE, "../../elsewhere"),
        tar_member("evil", tarfile.SYMTYPE, "/etc/passwd"),
        tar_member("evil", tarfile.SYMTYPE, "inside"),
        tar_member("evil", tarfile.LNKTYPE, "../../elsewhere"),
        tar_member("evil", tarfile.CHRTYPE),
        tar_member("evil", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}-{member.linkname}",
)
def test_a_member_that_escapes_a_tar_is_named_and_not_written(
    tmp_path: Path, folder: Path, member: tarfile.TarInfo
) -> None:
    archive = tar_with(tmp_path / "a.tgz", member)
    with pytest.raises(DataError, match=rf"a\.tgz isn't safe .*member '{member.name}'"):
        unpack(archive, folder)
    assert not any(name.endswith("evil") for name in everything_below(tmp_path))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil", 0o100644),
        ("top/../../evil", 0o100644),
        ("/evil", 0o100644),
        ("evil", 0o120777),
        ("evil", 0o020644),
    ],
)
def test_a_member_that_escapes_a_zip_is_named_and_not_written(
    tmp_path: Path, folder: Path, name: str, mode: int
) -> None:
    archive = zip_with(tmp_path / "a.zip", name, mode)
    with pytest.raises(DataError, match=rf"a\.zip isn't safe .*member '{name}'"):
        unpack(archive, folder)
    assert everything_below(folder.parent) == {"folder"}


@pytest.mark.parametrize("name", ["a.tgz", "a.tar", "a.zip"])
def test_what_is_no_archive_is_named(tmp_path: Path, folder: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>a page that says: log in first</html>" * 50)
    with pytest.raises(DataError, match=rf"{name} is damaged or incomplete"):
        unpack(tmp_path / name, folder)


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_a_truncated_archive_is_named(tmp_path: Path, folder: Path, name: str) -> None:
    if name == "a.zip":
        archive = zip_with(tmp_path / name, "a.txt")
    else:
        archive = tar_with(tmp_path / name, *(tar_member(f"{i}.jpg") for i in range(500)))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{name} is damaged or incomplete .*download it again"):
        unpack(archive, folder)


def test_a_zip_whose_content_changed_is_named(tmp_path: Path, folder: Path) -> None:
    archive = zip_with(tmp_path / "a.zip", "a.txt")
    archive.write_bytes(archive.read_bytes().replace(b"text", b"t3xt"))
    with pytest.raises(DataError, match=r"a\.zip is damaged .*CRC"):
        unpack(archive, folder)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let writing fail as it does on a full disk, with another reason."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failure_to_write_names_the_archive_and_the_reason(tmp_path: Path, folder: Path) -> None:
    large = tar_member("large.jpg")
    large.size = 2**21
    archive = tar_with(tmp_path / "a.tgz", large)
    with largest_file(2**20), pytest.raises(DataError, match=r"a\.tgz can't be unpacked \(File"):
        unpack(archive, folder)


def test_the_umask_says_who_may_read_what_is_unpacked(tmp_path: Path, folder: Path) -> None:
    member = tar_member("top/a.jpg")
    member.mode = 0o600
    archive = tar_with(tmp_path / "a.tgz", member)
    umask = os.umask(0o002)
    try:
        unpack(archive, folder)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder / "top" / "a.jpg").stat().st_mode) == 0o664
