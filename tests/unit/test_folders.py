"""Where histsearch's own files lie, and for whom."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from histsearch.exceptions import FolderError
from histsearch.folders import HOME_VARIABLE, home, make_home
from tests.privileges import ALICE, acting_as, make_group_folder, needs_root, open_folder


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may read, which is the user's home folder."""
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with open_folder() as folder:
        monkeypatch.setenv("HOME", str(folder))
        yield folder


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.mark.parametrize("above", [0o755, 0o775])
@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_nobody_else_may_list_the_home_folder_whatever_the_umask(
    place: Path, above: int, mask: int
) -> None:
    place.chmod(above)
    umask = os.umask(mask)
    try:
        make_home()
    finally:
        os.umask(umask)
    assert home().is_relative_to(place)
    # Root's PostgreSQL runs as another user, who passes it.
    assert mode(home()) == (0o711 if os.geteuid() == 0 else 0o700)


@needs_root
def test_a_home_folder_that_is_named_in_a_groups_folder_is_the_groups(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group_folder(place / "group")
    monkeypatch.setenv(HOME_VARIABLE, str(group / "histsearch"))
    with acting_as(ALICE, umask=0o002):
        make_home()
    assert mode(group / "histsearch") == 0o2775


@needs_root
@pytest.mark.parametrize("variable", ["HOME", "XDG_DATA_HOME"])
def test_root_writes_nothing_into_the_home_folder_of_another(
    place: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    folder = place / "alice"
    folder.mkdir()
    os.chown(folder, ALICE, ALICE)
    monkeypatch.setenv(variable, str(folder))
    with pytest.raises(FolderError) as raised:
        make_home()
    assert str(raised.value) == (
        f"found root with {folder} for its home folder, which is user {ALICE}'s; histsearch writes "
        f"nothing there: run it as user {ALICE}, with sudo -H, or set HISTSEARCH_HOME"
    )
    assert list(folder.iterdir()) == []
    with acting_as(ALICE, umask=0o022):
        make_home()
    monkeypatch.setenv(HOME_VARIABLE, str(place / "roots"))
    assert home() == (place / "roots").resolve()
