"""Checkpoints of several users in one folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from histsearch.exceptions import CheckpointDeniedError, CheckpointError
from histsearch.file_writing import write_whole
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.run_states import RunStates
from tests.privileges import (
    ALICE,
    BOB,
    LAB,
    acting_as,
    make_group_folder,
    needs_root,
    open_folder,
)

RUN = "birds/3.run"
FILE = f"{RUN}/attempt-1/a.ckpt"


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def group(place: Path) -> Path:
    return make_group_folder(place / "group")


def modes(folder: Path) -> set[tuple[str, str, int]]:
    """Kind, permissions and group of everything in a folder."""
    return {
        (
            "folder" if path.is_dir() else "file",
            f"{stat.S_IMODE(path.stat().st_mode) & 0o777:o}",
            path.stat().st_gid,
        )
        for path in folder.rglob("*")
    }


def save(folder: Path, attempt: int = 1, **state: int) -> bool:
    store = open_checkpoint_store(str(folder))
    return RunStates(store, RUN, attempt, "this run").save(state)


def load(folder: Path, attempt: int) -> dict[str, int] | None:
    return RunStates(open_checkpoint_store(str(folder)), RUN, attempt, "this run").load()


def delete(folder: Path, attempt: int) -> None:
    RunStates(open_checkpoint_store(str(folder)), RUN, attempt, "this run").delete()


@needs_root
@pytest.mark.parametrize("mode", [0o2770, 0o770, 0o3770])
@pytest.mark.parametrize(
    ("umask", "folders", "files"),
    [(0o002, "775", "664"), (0o007, "770", "660"), (0o022, "755", "644"), (0o077, "700", "600")],
)
def test_in_a_groups_folder_the_umask_says_what_the_group_may(
    place: Path, mode: int, umask: int, folders: str, files: str
) -> None:
    group = make_group_folder(place / "group", mode)
    with acting_as(ALICE, umask=umask):
        assert save(group, epoch=1)
    assert {found[:2] for found in modes(group)} == {("folder", folders), ("file", files)}
    if umask != 0o077:
        assert {gid for *_, gid in modes(group)} == {LAB}


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_any_other_folder_is_nobody_elses_to_look_into(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    umask = os.umask(0)
    try:
        assert save(tmp_path / "not yet" / "made", epoch=1)
    finally:
        os.umask(umask)
    found = {(kind, permissions) for kind, permissions, _ in modes(tmp_path)}
    assert found == {("folder", "700"), ("file", "600")}


@needs_root
def test_a_colleague_goes_on_from_a_state_and_removes_it(group: Path) -> None:
    with acting_as(ALICE, umask=0o002):
        save(group, epoch=1)
        save(group, epoch=2)
    with acting_as(BOB, umask=0o002):
        assert load(group, 2) == {"epoch": 2}
        assert save(group, 2, epoch=3)
        delete(group, 2)
    assert list(group.iterdir()) == []


def sentence(group: Path, action: str, key: str, barrier: str, mode: str) -> str:
    return (
        f"The checkpoint {group}/{key} can't be {action} (Permission denied): {group}/{barrier} is "
        f"user {ALICE}'s, with mode {mode}; let user {ALICE} open it to your group (chmod -R "
        f"g+rwX {group}/{barrier}) and run histsearch with umask 002, or name another place with "
        "--checkpoints."
    )


@needs_root
def test_states_in_a_closed_folder_are_named_once_and_the_run_starts_afresh(
    group: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with acting_as(ALICE, umask=0o077):
        save(group, epoch=1)
        save(group, epoch=2)
    own = f"{RUN}/attempt-2/a.ckpt"
    with acting_as(BOB, umask=0o002):
        checkpoints = RunStates(open_checkpoint_store(str(group)), RUN, 2, "this run")
        assert checkpoints.load() is None
        assert not checkpoints.save({"epoch": 1})
        assert not checkpoints.save({"epoch": 2})
        checkpoints.delete()
    unreadable = sentence(group, "read", own, "birds", "2700")
    unwritable = sentence(group, "written", own, "birds", "2700")
    staying = sentence(group, "removed", FILE, "birds", "2700")
    assert caplog.messages == [
        f"{unreadable} It is passed over.",
        f"No checkpoint of {RUN} can be used; it starts afresh.",
        f"{unwritable} The run goes on without checkpoints.",
        f"{staying} The same holds for others of {RUN}.",
    ]


@needs_root
def test_a_closed_state_falls_back_to_an_open_one(
    group: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with acting_as(ALICE, umask=0o002):
        save(group, epoch=1)
        save(group, 2, epoch=2)
        newest = f"{RUN}/attempt-2/a.ckpt"
        (group / newest).chmod(0o600)
    with acting_as(BOB, umask=0o002):
        assert load(group, 3) == {"epoch": 1}
    assert caplog.messages == [
        f"{sentence(group, 'read', newest, newest, '0600')} It is passed over."
    ]


@needs_root
def test_a_state_that_may_only_be_read_is_gone_on_from_and_stays(
    group: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with acting_as(ALICE, umask=0o022):
        save(group, epoch=1)
    with acting_as(BOB, umask=0o022):
        assert load(group, 2) == {"epoch": 1}
        delete(group, 2)
    assert caplog.messages == [sentence(group, "removed", FILE, f"{RUN}/attempt-1", "2755")]
    assert (group / FILE).exists()


@needs_root
def test_a_users_own_state_that_cannot_be_read_is_no_others(group: Path) -> None:
    with acting_as(ALICE, umask=0o077):
        save(group, epoch=1)
        (group / FILE).chmod(0)
        with pytest.raises(CheckpointError, match="let the folder be read") as raised:
            load(group, 2)
    assert not isinstance(raised.value, CheckpointDeniedError)


@needs_root
def test_nobody_is_told_to_open_what_lies_above_the_checkpoints(place: Path) -> None:
    (place / "home").mkdir(0o700)
    os.chown(place / "home", ALICE, ALICE)
    store = open_checkpoint_store(str(place / "home" / "checkpoints"))
    with acting_as(BOB, umask=0o002), pytest.raises(CheckpointDeniedError) as raised:
        store.check("check")
    assert str(raised.value) == (
        f"The checkpoint {place}/home/checkpoints/check can't be written (Permission denied): "
        f"{place}/home is user {ALICE}'s, with mode 0700; let user {ALICE} grant you access, or "
        "name another place with --checkpoints."
    )


@needs_root
def test_a_file_of_another_user_is_replaced_and_stays_the_groups(group: Path) -> None:
    for user in (ALICE, BOB):
        with acting_as(user, umask=0o002):
            write_whole(group / "report.md", str(user).encode())
    status = (group / "report.md").stat()
    assert (group / "report.md").read_text() == str(BOB)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (BOB, LAB, 0o664)
