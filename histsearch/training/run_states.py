"""A run's state, kept so that another process can go on where it stopped.

Two generations are kept. A checkpoint carries its own digest, so one that was cut short or damaged
is noticed; the one before it then serves.
"""

import io
import logging
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import torch

from histsearch.exceptions import CheckpointDeniedError, CheckpointError, StoreFullError
from histsearch.models.digest import DamagedError, check_digest, save_with_digest
from histsearch.training.checkpoint_store import CheckpointStore
from histsearch.training.state_check import UnfitStateError

log = logging.getLogger(__name__)

_SLOTS = ("a", "b")

GENERATIONS = len(_SLOTS)
"""States of a run that are kept at once."""

# What torch raises for a file that it didn't write, depending on the file.
_UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    struct.error,
)
_KEYS = {"identity", "number", "state"}


def _accept(_: object) -> None:
    return None


def _is_whole(file: BinaryIO) -> bool:
    try:
        return check_digest(file)
    except DamagedError:
        return False


def _unlike_a_state(place: str, error: UnfitStateError) -> str:
    return (
        f"The checkpoint {place} is whole, but holds no state of this run ({error}); going back to "
        "the one before it."
    )


class _UnusableError(Exception):
    """A checkpoint that is there and can't be gone on from."""


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint that can be gone on from; the higher its number, the newer it is."""

    attempt: int
    slot: int
    number: int
    state: dict[str, Any]


class RunStates:
    """The checkpoints of one run.

    Each attempt writes under a key of its own, into two slots in turn. So a process that has lost
    its run without noticing doesn't harm what its successor keeps, and the newest checkpoint and
    the one before it are always both there, in stores without renaming as well.

    Args:
        store: Where they lie.
        run: The key they lie under, such as ``birds/3``.
        attempt: 1 for the first process that trains the run, one more for each that goes on with
            it.
        identity: What the run is. A checkpoint of another identity, made by other software for
            instance, is passed over.
    """

    def __init__(self, store: CheckpointStore, run: str, attempt: int, identity: str) -> None:
        self._store = store
        self._run = run
        self._attempt = attempt
        self._identity = identity
        self._slot = 0
        self._number = 0
        self._saved = 0
        self._is_denied = False

    def save(self, state: Mapping[str, Any]) -> bool:
        """Write a state, keeping the one before it; whether that could be done.

        A state that can't be written costs no more than the chance to go on from it, so it is
        logged; but a full disk won't mend itself while training goes on.

        Raises:
            StoreFullError: The disk or the quota is used up.
        """
        number = self._number + 1
        content = {"identity": self._identity, "number": number, "state": dict(state)}
        try:
            self._store.write_from(
                self._key(self._attempt, self._slot), partial(save_with_digest, content)
            )
        except StoreFullError:
            raise
        except CheckpointDeniedError as error:
            if not self._is_denied:  # it stays so, epoch after epoch
                log.warning("%s The run goes on without checkpoints.", error)
            self._is_denied = True
            return False
        except CheckpointError as error:
            log.warning("%s The run goes on without this checkpoint.", error)
            return False
        self._number = number
        self._slot = 1 - self._slot
        self._saved += 1
        if self._saved == len(_SLOTS):
            self._remove(range(1, self._attempt))  # what stays is named when the run has ended
        return True

    def load(self, check: Callable[[Any], None] = _accept) -> dict[str, Any] | None:
        """The newest state that is whole and of this run, with tensors on the CPU; None if none.

        The last attempt that has one counts. What is passed over is logged, such as what another
        user doesn't let this one read.

        Args:
            check: Called with a state; an `UnfitStateError` of it has the state passed over.

        Raises:
            CheckpointError: The store doesn't answer.
        """
        passed_over = False
        denied_by: set[str] = set()
        for attempt in range(self._attempt, 0, -1):
            whole: list[_Checkpoint] = []
            for slot in range(len(_SLOTS)):
                try:
                    checkpoint = self._read(attempt, slot)
                except _UnusableError as error:
                    log.warning("%s", error)
                    passed_over = True
                except CheckpointDeniedError as error:
                    if error.owner not in denied_by:  # one is named for all
                        log.warning("%s It is passed over.", error)
                    denied_by.add(error.owner)
                    passed_over = True
                else:
                    if checkpoint is not None:
                        whole.append(checkpoint)
            for checkpoint in sorted(whole, key=lambda one: one.number, reverse=True):
                try:
                    check(checkpoint.state)
                except UnfitStateError as error:
                    place = self._store.place(self._key(checkpoint.attempt, checkpoint.slot))
                    log.warning("%s", _unlike_a_state(place, error))
                    passed_over = True
                else:
                    return self._go_on_from(checkpoint)
        if passed_over:
            log.warning("No checkpoint of %s can be used; it starts afresh.", self._run)
        return None

    def _go_on_from(self, checkpoint: _Checkpoint) -> dict[str, Any]:
        self._number = checkpoint.number
        if checkpoint.attempt == self._attempt:
            self._slot = 1 - checkpoint.slot
        return checkpoint.state

    def _read(self, attempt: int, slot: int) -> _Checkpoint | None:
        """The checkpoint in a slot; None if it is empty.

        Raises:
            _UnusableError: It can't be used.
            CheckpointDeniedError: It is another user's, who doesn't let it be read.
            CheckpointError: The store doesn't answer.
        """
        key = self._key(attempt, slot)
        place = self._store.place(key)
        stored = self._store.read(key)
        if stored is None:
            return None
        file = io.BytesIO(stored)
        if not _is_whole(file):
            raise _UnusableError(
                f"The checkpoint {place} is damaged; going back to the one before it."
            )
        file.seek(0)
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            raise _UnusableError(
                f"The checkpoint {place} can't be read ({error}); going back to the one before it."
            ) from error
        is_one = isinstance(loaded, dict) and loaded.keys() == _KEYS
        if not (is_one and isinstance(loaded["number"], int)):
            raise _UnusableError(
                f"The checkpoint {place} is whole, but no checkpoint; going back to the one before "
                "it."
            )
        if loaded["identity"] != self._identity:
            raise _UnusableError(
                f"The checkpoint {place} was made by other software, on another device, with other "
                "settings or from other images; it is passed over."
            )
        return _Checkpoint(attempt, slot, loaded["number"], loaded["state"])

    def delete(self) -> None:
        """Remove the checkpoints of the run; what can't be removed is logged."""
        denied = self._remove(range(1, self._attempt + 1))
        if denied:
            others = f" The same holds for others of {self._run}." if len(denied) > 1 else ""
            log.warning("%s%s", denied[0], others)

    def begin_anew(self) -> None:
        """Remove what was saved so far; what can't be removed counts as older than what follows."""
        self._saved = 0
        self.delete()

    def _remove(self, attempts: Iterable[int]) -> list[CheckpointDeniedError]:
        """Remove the checkpoints of attempts, except for those that other users keep."""
        denied: list[CheckpointDeniedError] = []
        for attempt in attempts:
            for slot in range(len(_SLOTS)):
                try:
                    self._store.remove(self._key(attempt, slot))
                except CheckpointDeniedError as error:
                    denied.append(error)
                except CheckpointError as error:
                    log.warning("%s", error)
                    return denied
        return denied

    def _key(self, attempt: int, slot: int) -> str:
        return f"{self._run}/attempt-{attempt}/{_SLOTS[slot]}.ckpt"
