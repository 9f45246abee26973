"""Claims as a worker makes them, without the worker."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select
from sqlalchemy.engine import Connection

from histsearch.database.storage import Storage
from histsearch.database.tables import attempts
from histsearch.studies import study_end
from histsearch.studies.claim import Claim
from histsearch.studies.liveness import Watch
from histsearch.studies.queue import claim, requeue_abandoned
from histsearch.studies.study import Study
from histsearch.workers.registry import Identity, grace_seconds, sign_on


def signed_on(
    storage: Storage,
    *,
    heartbeat_seconds: float = 10.0,
    name: str = "tester",
    host: str = "localhost",
    slots: int = 1,
) -> int:
    """Key of a new worker that will never show another sign of life."""
    identity = Identity(name, host, 1, "a processor", None, slots)
    return sign_on(storage, identity, heartbeat_seconds)


def claim_next(study: Study) -> Claim | None:
    """The next trial, claimed by a new worker."""
    return claim(study, signed_on(study.storage))


def claimed(study: Study) -> Claim:
    """The same where there must be one."""
    found = claim_next(study)
    assert found is not None
    return found


def tell(
    study: Study,
    value: float | None,
    state: TrialState = TrialState.COMPLETE,
    curve: Mapping[int, float] | None = None,
    **attributes: Any,
) -> None:
    """Claim a trial, and tell how it ended, with its curve and attributes."""
    claim = claimed(study)
    claim.record(attributes, curve)
    claim.tell(state, value)


@contextmanager
def row_held(claim: Claim) -> Iterator[Connection]:
    """A transaction that holds an attempt's row, as each write to it does until it is done."""
    with claim.study.storage.begin() as connection:
        row = select(attempts.c.id).where(attempts.c.id == claim.id)
        connection.execute(row.with_for_update())
        yield connection


def end_if_due(study: Study) -> list[Claim]:
    """End a study that is due, as a new worker does before it claims."""
    return study_end.end_if_due(study, signed_on(study.storage))


def is_needless(study: Study, trial: FrozenTrial) -> bool:
    """Whether a new worker would leave a trial, as its study could end without it."""
    return study_end.is_needless(study, trial, signed_on(study.storage))


class Judge:
    """A worker that watches the others' heartbeats by a clock that the test moves.

    Attributes:
        id: Its key.
        seconds: What its clock says.
        watch: Its watch.
    """

    def __init__(self, storage: Storage, heartbeat_seconds: float = 10.0) -> None:
        self.id = signed_on(storage, heartbeat_seconds=heartbeat_seconds, name="judge")
        self.seconds = 0.0
        self.watch = Watch(grace_seconds(heartbeat_seconds), clock=lambda: self.seconds)
        self._storage = storage
        self._heartbeat_seconds = heartbeat_seconds

    def look(self) -> None:
        """Look at the others, as with each heartbeat."""
        with self._storage.begin() as connection:
            self.watch.look(connection)

    def watch_for(self, seconds: float) -> None:
        """Let time pass with a heartbeat now and then."""
        end = self.seconds + seconds
        self.look()
        while self.seconds < end:
            self.seconds = min(self.seconds + self._heartbeat_seconds, end)
            self.look()

    def take_over(self) -> list[Claim]:
        """Queue the trials again whose workers are gone."""
        return requeue_abandoned(self._storage, self.id, self.watch)


def take_over_the_silent(storage: Storage) -> list[Claim]:
    """Queue the trials again whose workers show no sign of life for a little over their grace."""
    judge = Judge(storage)
    judge.watch_for(61)
    return judge.take_over()
