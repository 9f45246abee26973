"""What a worker tells the database, from a thread of its own, so that training never waits for it.

Heartbeats go out at their interval, reports in the order they were given. While the database is
away the reports are kept, and delivered when it is back. Where it refuses for good, as a right is
missing, the worker is to stop.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

from histsearch.database.storage import Storage
from histsearch.exceptions import DatabaseAwayError, StorageError
from histsearch.studies.claim import Claim, ClaimLostError
from histsearch.studies.liveness import Watch
from histsearch.workers import metrics
from histsearch.workers.registry import IDLE, Activity, beat, grace_seconds, sign_off

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.1
_MOST_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class _Report:
    deliver: Callable[[], None]
    ends_claim: bool


class Reporter:
    """A worker's line to the database.

    Args:
        storage: Where its studies are.
        worker_id: Its key there.
        heartbeat_seconds: Time between two signs of life.
        patience_seconds: How long the database may be away before the worker is to stop.
        clock: The seconds that patience goes by; an `AwakeClock` where a suspension costs none.

    Attributes:
        worker_id: The worker's key in the database.
        watch: What is seen of the other workers' heartbeats, with each of this one's.
    """

    def __init__(
        self,
        storage: Storage,
        worker_id: int,
        *,
        heartbeat_seconds: float,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self.worker_id = worker_id
        self._heartbeat_seconds = heartbeat_seconds
        self._patience_seconds = patience_seconds
        self._clock = clock
        self.watch = Watch(grace_seconds(heartbeat_seconds))
        self._changed = threading.Condition()
        self._reports: deque[_Report] = deque()
        self._claim: Claim | None = None
        self._lost = False
        self._closing = False
        self._activity = Activity(IDLE)
        self._next_heartbeat = 0.0
        self._away_since: float | None = None
        self._away_because: DatabaseAwayError | None = None
        self._given_up_because: StorageError | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reporter")
        self._work: Future[None]

    def __enter__(self) -> Self:
        self._work = self._pool.submit(self._run)
        # A bug ends it, and then `settle` waits for nothing.
        self._work.add_done_callback(lambda _: self._wake())
        return self

    def __exit__(self, *_: object) -> None:
        """Deliver what can be delivered now, and sign off."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._pool.shutdown()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # What the worker's own thread calls.

    def begin(self, claim: Claim) -> None:
        """Report for this attempt from now on."""
        with self._changed:
            self._claim = claim
            self._lost = False

    def end(self) -> None:
        """Report for no attempt any more, but for what is left of the last one's reports."""
        with self._changed:
            self._claim = None
            self._activity = Activity(IDLE)

    def show(self, activity: Activity) -> None:
        """Let the coming heartbeats say what the worker does."""
        self._activity = activity

    def show_stalled(self) -> None:
        """Let a heartbeat say, as soon as can be, that what the worker does hangs."""
        self._activity = replace(self._activity, word="stalled")
        self.report(self._beat)

    def report(self, deliver: Callable[[], None], *, ends_claim: bool = False) -> None:
        """Have a report delivered after those before it.

        Args:
            deliver: Writes it; called again, whole, if the database goes away meanwhile.
            ends_claim: Whether the attempt is over with it.
        """
        with self._changed:
            if self._lost:
                return  # nothing about the trial is this worker's to say
            self._reports.append(_Report(deliver, ends_claim))
            metrics.REPORTS_WAITING.set(len(self._reports))
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until all reports are delivered or needless; False if they aren't in time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reports or self._work.done(), timeout=seconds)
            return not self._reports

    @property
    def is_away(self) -> bool:
        """Whether the database doesn't answer at the moment."""
        return self._away_since is not None

    @property
    def lost(self) -> bool:
        """Whether the attempt was taken over, or its study deleted."""
        return self._lost

    def should_stop(self) -> bool:
        """Whether going on with the trial makes no sense."""
        return self._lost or self._out_of_patience() or self._work.done()

    def check(self) -> None:
        """Make sure that the worker can go on.

        Raises:
            StorageError: The database has been away for too long, or refuses for good.
        """
        if self._work.done():
            self._work.result()
        if self._out_of_patience():
            assert self._given_up_because is not None
            raise self._given_up_because

    def _out_of_patience(self) -> bool:
        """Whether the database was away for too long, for good even if it comes back just now."""
        since, because = self._away_since, self._away_because
        if since is not None and self._clock() - since > self._patience_seconds:
            self._given_up_because = because
        return self._given_up_because is not None

    # What the reporter's thread does.

    def _run(self) -> None:
        while not self._closing:
            self._wait()
            self._try_once()
        self._try_once()
        if not self.is_away:
            self._sign_off()

    def _wait(self) -> None:
        """Wait for a report, or for the time of the next heartbeat or retry."""
        with self._changed:
            if self.is_away or self._given_up_because is not None:
                self._changed.wait_for(lambda: self._closing, timeout=self._retry_seconds)
                return
            seconds = self._next_heartbeat - time.monotonic()
            self._changed.wait_for(
                lambda: self._closing or bool(self._reports), timeout=max(0.0, seconds)
            )

    def _try_once(self) -> None:
        try:
            if self.is_away or time.monotonic() >= self._next_heartbeat:
                self._beat()
            self._deliver()
        except DatabaseAwayError as error:
            self._note_absence(error)
        except StorageError as error:  # waiting won't help; the worker saves its trial and ends
            self._given_up_because = error
            self._retry_seconds = _MOST_RETRY_SECONDS
        else:
            self._note_presence()

    def _beat(self) -> None:
        claim = self._claim
        self._next_heartbeat = time.monotonic() + self._heartbeat_seconds
        held = beat(self._storage, self.worker_id, self._activity, claim.id if claim else None)
        with self._storage.singly() as connection:
            self.watch.look(connection)
        with self._changed:
            # Where its end is still to be told, that shows whether it was this worker's.
            ending = any(report.ends_claim for report in self._reports)
            if not held and claim is self._claim and not ending:
                self._lose()

    def _deliver(self) -> None:
        while True:
            with self._changed:
                if not self._reports:
                    return
                report = self._reports[0]
            if time.monotonic() >= self._next_heartbeat:  # also within a long backlog
                self._beat()
            try:
                report.deliver()
            except ClaimLostError:
                with self._changed:
                    self._lose()
                return
            with self._changed:
                if self._reports and self._reports[0] is report:
                    self._reports.popleft()
                if report.ends_claim:
                    self._claim = None
                metrics.REPORTS_WAITING.set(len(self._reports))
                self._changed.notify_all()

    def _lose(self) -> None:
        self._lost = True
        self._reports.clear()
        metrics.REPORTS_WAITING.set(0)
        self._changed.notify_all()

    def _note_absence(self, error: DatabaseAwayError) -> None:
        self._away_because = error
        if self._away_since is None:
            self._away_since = self._clock()
            self._retry_seconds = _FIRST_RETRY_SECONDS
            log.warning("the database is away, reports are kept meanwhile: %s", error)
        else:
            # Never later than the next heartbeat, which shows others that this worker lives.
            most = min(_MOST_RETRY_SECONDS, self._heartbeat_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, most)
        metrics.DATABASE_AWAY.set(1)

    def _note_presence(self) -> None:
        if self._away_since is None:
            return
        log.info("the database is back after %.0f s", self._clock() - self._away_since)
        self._away_since = None
        metrics.DATABASE_AWAY.set(0)

    def _sign_off(self) -> None:
        try:
            sign_off(self._storage, self.worker_id)
        except StorageError as error:
            if self._given_up_because is None:  # which is told where the worker ends
                log.warning("can't sign off: %s", error)
