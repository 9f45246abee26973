"""Which machine this is, and what runs processes on it."""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_NAME_SPACE = Path("/proc/self/ns/uts")
_KERNELS_NAME_SPACE = "uts:[4026531838]"  # a constant of Linux; the others' numbers are used again
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
# Docker and Podman name a container that is given no name by the start of its id.
_CONTAINER_FILES = (Path("/.dockerenv"), Path("/run/.containerenv"))
_RANDOM_NAME = re.compile("[0-9a-f]{12}")
_POD_VARIABLE = "KUBERNETES_SERVICE_HOST"

_JOB_VARIABLES = {
    "SLURM_JOB_ID": "Slurm",
    "PBS_JOBID": "PBS",
    "LSB_JOBID": "LSF",
    "FLUX_JOB_ID": "Flux",
    "OAR_JOB_ID": "OAR",
    "COBALT_JOBID": "Cobalt",
}
_GRID_ENGINE = ("JOB_ID", "SGE_TASK_ID")  # the first alone is too common a name

_NETWORK_FILE_SYSTEMS = {
    *("acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre"),
    *("nfs", "nfs4", "ocfs2", "orangefs", "panfs", "smb3", "smbfs", "wekafs"),
}
_LOCAL_FUSE = ("fuseblk", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.ntfs-3g")


@dataclass(frozen=True)
class Machine:
    """What tells a machine, and a run of its kernel, from others.

    Attributes:
        host: Its name.
        machine_id: Set when its system was installed; copies of an image may share it. Empty
            where there is none.
        boot_id: Of this run of its kernel, which all its containers share.
        name_is_kernels: Whether the host name is that of the machine rather than a container's, so
            that another one in the same run of the kernel means that it was renamed.
        name_is_random: Whether the name was made up for a container, and the next one on the same
            volume has another.
    """

    host: str
    machine_id: str
    boot_id: str
    name_is_kernels: bool
    name_is_random: bool

    @classmethod
    def this(cls) -> Self:
        """The one that runs this process."""
        host = socket.gethostname()
        return cls(
            host=host,
            machine_id=next(filter(None, map(_text, _MACHINE_ID_FILES)), ""),
            boot_id=_text(_BOOT_ID_FILE) or f"{psutil.boot_time():.0f}",
            name_is_kernels=_has_kernels_name(),
            name_is_random=_is_random(host),
        )

    def was(self, other: Self, *, on_network: bool) -> bool:
        """Whether what ran on ``other`` ran on this machine, perhaps before it booted.

        Args:
            other: The machine as it was written down then.
            on_network: Whether the file system on which it is written down has other hosts.
        """
        nameless = self.name_is_random and other.name_is_random
        if self.boot_id == other.boot_id:
            was_renamed = self.name_is_kernels and other.name_is_kernels
            return other.host == self.host or was_renamed or nameless
        if nameless:
            return not on_network
        if other.machine_id != self.machine_id:
            return False
        return other.host == self.host or (bool(self.machine_id) and not on_network)


def batch_job() -> str | None:
    """The job of a scheduler that this process belongs to, in words; its processes end with it."""
    for name, scheduler in _JOB_VARIABLES.items():
        if os.environ.get(name):
            return f"{scheduler} job {os.environ[name]}"
    if all(os.environ.get(name) for name in _GRID_ENGINE):
        return f"Grid Engine job {os.environ[_GRID_ENGINE[0]]}"
    return None


def is_on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system that other hosts may use at the same time."""
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    kind = next((mounts[path] for path in (folder, *folder.parents) if path in mounts), "")
    is_fuse = kind.startswith("fuse") and kind not in _LOCAL_FUSE
    return is_fuse or kind in _NETWORK_FILE_SYSTEMS


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _is_random(host: str) -> bool:
    if os.environ.get(_POD_VARIABLE):
        return True
    in_container = any(path.exists() for path in _CONTAINER_FILES)
    return in_container and _RANDOM_NAME.fullmatch(host) is not None


def _has_kernels_name() -> bool:
    try:
        return str(_NAME_SPACE.readlink()) == _KERNELS_NAME_SPACE
    except OSError:
        return False
