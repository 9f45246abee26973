"""A run's state on disk, so that it can go on where it stopped.

Two generations are kept. A file carries its own digest, so one that was cut short or damaged is
noticed; the one before it then serves.
"""

import hashlib
import io
import logging
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from histsearch.models.file_writing import write_whole

log = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


class RunCheckpoints:
    """The checkpoints of one run, in a folder of their own.

    Args:
        folder: Where they lie; made when the first is saved.
        identity: What the run is. A checkpoint of another identity, left behind by a deleted
            study for instance, is passed over.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._latest = folder / "latest.ckpt"
        self._previous = folder / "previous.ckpt"
        self._identity = identity

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state, keeping the one before it.

        A state that can't be written costs no more than the chance to go on from it: it is logged.
        """
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "state": dict(state)}, buffer)
        content = buffer.getvalue()
        try:
            self._latest.parent.mkdir(parents=True, exist_ok=True)
            if self._latest.exists():
                self._latest.replace(self._previous)
            write_whole(self._latest, hashlib.sha256(content).digest() + content)
        except OSError as error:
            log.warning("the checkpoint %s can't be written (%s)", self._latest, error)

    def load(self) -> dict[str, Any] | None:
        """The newest state that is whole and of this run, with tensors on the CPU; None if none."""
        for path in (self._latest, self._previous):
            state = self._read(path)
            if state is not None:
                return state
        return None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the checkpoint %s can't be read (%s)", path, error)
            return None
        digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            log.warning("the checkpoint %s is damaged; going back to the one before it", path)
            return None
        try:
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            log.warning("the checkpoint %s can't be read (%s)", path, error)
            return None
        if loaded["identity"] != self._identity:
            return None
        state: dict[str, Any] = loaded["state"]
        return state

    def delete(self) -> None:
        """Remove the checkpoints of a run that has ended."""
        folder = self._latest.parent
        if not folder.is_dir():
            return
        try:
            shutil.rmtree(folder)
        except OSError as error:
            log.warning("the checkpoints %s can't be removed (%s)", folder, error)
