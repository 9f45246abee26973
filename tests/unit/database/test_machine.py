from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from histsearch.database.embedded_postgres.machine import Machine, batch_job, is_on_network

HERE = Machine("alpha", "id-alpha", "boot-1", name_is_kernels=True, name_is_random=False)
CONTAINER = Machine("0123456789ab", "", "boot-1", name_is_kernels=False, name_is_random=True)


@pytest.mark.parametrize(
    ("now", "on_network", "is_same"),
    [
        pytest.param(HERE, True, True, id="nothing changed"),
        pytest.param(replace(HERE, host="beta"), True, True, id="renamed"),
        pytest.param(replace(HERE, boot_id="boot-2"), True, True, id="booted again"),
        pytest.param(
            replace(HERE, boot_id="boot-2", host="beta"), False, True, id="renamed and booted"
        ),
        pytest.param(
            replace(HERE, boot_id="boot-2", host="beta"), True, False, id="image's copy elsewhere"
        ),
        pytest.param(
            replace(HERE, boot_id="boot-2", machine_id="id-beta"), False, False, id="other host"
        ),
        pytest.param(
            replace(HERE, host="beta", name_is_kernels=False), False, False, id="a name of its own"
        ),
    ],
)
def test_a_machine_is_known_again(now: Machine, on_network: bool, is_same: bool) -> None:
    assert now.was(HERE, on_network=on_network) is is_same


@pytest.mark.parametrize(
    ("now", "on_network", "is_same"),
    [
        pytest.param(CONTAINER, True, True, id="restarted"),
        pytest.param(replace(CONTAINER, host="ba9876543210"), True, True, id="recreated"),
        pytest.param(
            replace(CONTAINER, host="ba9876543210", boot_id="boot-2"),
            False,
            True,
            id="booted again",
        ),
        pytest.param(
            replace(CONTAINER, host="ba9876543210", boot_id="boot-2"), True, False, id="moved"
        ),
    ],
)
def test_a_container_on_its_volume_is_known_again(
    now: Machine, on_network: bool, is_same: bool
) -> None:
    assert now.was(CONTAINER, on_network=on_network) is is_same


def test_this_machine_is_itself() -> None:
    assert Machine.this() == Machine.this()
    assert Machine.this().boot_id


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "4711"}, "Slurm job 4711"),
        ({"PBS_JOBID": "12.head"}, "PBS job 12.head"),
        ({"JOB_ID": "7", "SGE_TASK_ID": "undefined"}, "Grid Engine job 7"),
        ({"JOB_ID": "of a shell script"}, None),
    ],
)
def test_a_batch_job_is_found(
    variables: dict[str, str], job: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "SGE_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert batch_job() == job


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/ann/histsearch", True),
        ("/home/local/histsearch", False),
        ("/mnt/cloud/histsearch", True),
        ("/var/lib/histsearch", False),
    ],
)
def test_network_file_systems_are_told_from_disks(
    folder: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mount:
        def __init__(self, mountpoint: str, fstype: str) -> None:
            self.mountpoint = mountpoint
            self.fstype = fstype

    mounts = [
        Mount("/", "ext4"),
        Mount("/home", "nfs4"),
        Mount("/home/local", "xfs"),
        Mount("/mnt/cloud", "fuse.s3fs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert is_on_network(Path(folder)) is expected
