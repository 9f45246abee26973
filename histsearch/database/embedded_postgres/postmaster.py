"""The server's first process, by the file that it keeps in its database folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

FILE = "postmaster.pid"
_LINES = 8


@dataclass(frozen=True)
class Postmaster:
    """What ``postmaster.pid`` says, which stays behind if its server doesn't end by itself.

    Attributes:
        process_id: On the machine, and in the container, that the server runs in.
        socket_folder: Where it listens.
        status: "ready" once it answers.
    """

    process_id: int
    socket_folder: Path
    status: str

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """That of a database folder; None where there is none."""
        try:
            text = os.fsdecode((folder / FILE).read_bytes())
            process_id, *others = text.split("\n")
            others += [""] * _LINES  # those that aren't written yet
            return cls(int(process_id), Path(others[3]), others[6].strip())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def runs(self, folder: Path) -> bool:
        """Whether it runs on this machine for that folder.

        The number of a crashed server may have gone to another process since.
        """
        try:
            process = psutil.Process(self.process_id)
            is_owners = process.uids().effective == folder.stat().st_uid
            return is_owners and str(folder) in process.cmdline()
        except (psutil.Error, FileNotFoundError):
            return False
