"""Signs of life of the workers that hold trials, told apart by change and not by time.

Each heartbeat raises a number in the database. Another worker measures by its own clock how long
the number stays the same, so nothing depends on how the database's clock is set.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optuna.trial import TrialState
from sqlalchemy import and_, select
from sqlalchemy.engine import Connection

from histsearch.database.storage import Storage
from histsearch.database.tables import attempts, optuna_study_attributes, optuna_trials, workers
from histsearch.studies.study import DEFINITION

RUNNING = (
    optuna_trials.join(
        optuna_study_attributes,
        and_(
            optuna_study_attributes.c.study_id == optuna_trials.c.study_id,
            optuna_study_attributes.c.key == DEFINITION,
            optuna_trials.c.state == TrialState.RUNNING.name,
        ),
    )
    .outerjoin(
        attempts,
        and_(attempts.c.trial_id == optuna_trials.c.trial_id, attempts.c.ended_at.is_(None)),
    )
    .outerjoin(workers, workers.c.id == attempts.c.worker_id)
)
"""Running trials of histsearch's studies, each with its attempt and worker where it has them."""

_HOLDERS = (
    select(workers.c.id, workers.c.beats, workers.c.grace_seconds)
    .join(attempts, attempts.c.worker_id == workers.c.id)
    .where(attempts.c.ended_at.is_(None))
    .distinct()
)


@dataclass(frozen=True)
class Silence:
    """A worker without a sign of life for longer than its grace.

    Attributes:
        beats: The number of its heartbeats all the while.
        seconds: For how long at least.
    """

    beats: int
    seconds: float


@dataclass(frozen=True)
class _Seen:
    """A worker as it was last seen, unchanged since a time of the watch's clock."""

    beats: int
    grace_seconds: float
    since: float


class Watch:
    """One worker's watch over the heartbeats of the others.

    It says nothing of a time in which it didn't look: whoever was cut off from the database, or
    suspended, for longer than half its grace begins anew. So nobody is taken for dead because the
    database was away. The longer grace of the two leaves the other the time to make up for what
    both have missed.

    Args:
        grace_seconds: That of the worker that watches.
        clock: Its own clock, which no one sets.
    """

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._changing = threading.Lock()
        self._looked_at = float("-inf")
        self._seen: dict[int, _Seen] = {}

    def look(self, connection: Connection) -> None:
        """Look at the workers that hold trials; to be done with every heartbeat of one's own."""
        rows = connection.execute(_HOLDERS).all()
        now = self._clock()
        with self._changing:
            before = self._seen if self._is_steady(now) else {}
            self._looked_at = now
            self._seen = {}
            for key, beats, grace_seconds in rows:
                known = before.get(key)
                since = known.since if known is not None and known.beats == beats else now
                self._seen[key] = _Seen(beats, grace_seconds, since)

    def silent(self) -> dict[int, Silence]:
        """The workers, by key, whose silence has outlasted their grace."""
        now = self._clock()
        with self._changing:
            seen = self._seen if self._is_steady(now) else {}
            return {
                key: Silence(one.beats, now - one.since)
                for key, one in seen.items()
                if now - one.since > max(one.grace_seconds, self._grace_seconds)
            }

    def _is_steady(self, now: float) -> bool:
        return now - self._looked_at <= self._grace_seconds / 2


class DoubtfulTrials:
    """Running trials whose workers have shown no sign of life since this was made."""

    def __init__(self) -> None:
        self._first_beats: dict[int, int] = {}

    def count(self, storage: Storage, study_ids: Sequence[int]) -> int:
        """Number of those trials in some studies; at first sight every running one is doubtful."""
        query = (
            select(workers.c.id, workers.c.beats)
            .select_from(RUNNING)
            .where(optuna_trials.c.study_id.in_(study_ids))
        )
        with storage.begin() as connection:
            rows = connection.execute(query).all()
        return sum(
            key is None or self._first_beats.setdefault(key, beats) == beats for key, beats in rows
        )
