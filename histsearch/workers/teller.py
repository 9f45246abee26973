"""How a worker's attempts at trials end: told to the database, the log and the metrics."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from optuna.trial import TrialState

from histsearch.processes import end_at_once
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.claim import Claim
from histsearch.workers import exit_codes, metrics
from histsearch.workers.outcome import Outcome
from histsearch.workers.progress_watch import Stall
from histsearch.workers.reporter import Reporter
from histsearch.workers.stop_request import FAREWELL_SECONDS, StopRequest

log = logging.getLogger(__name__)

# After a stop signal a trial's last reports may take this long.
_LAST_REPORTS_SECONDS = 2.5
_GLANCE_SECONDS = 2.0


class Teller:
    """Tells how the attempts of a worker end.

    Args:
        worker: The worker's name.
        reporter: Its line to the database.
        stop: Its request to stop.
        forget: Removes the saved states of a trial.
    """

    def __init__(
        self,
        worker: str,
        reporter: Reporter,
        stop: StopRequest,
        forget: Callable[[Claim], None],
    ) -> None:
        self._worker = worker
        self._reporter = reporter
        self._stop = stop
        self._forget = forget
        self._claimed: Claim | None = None  # until its end is told

    @contextmanager
    def attempt(self, claimed: Claim) -> Iterator[None]:
        """Report for an attempt within the block, at whose end it is told."""
        self._reporter.begin(claimed)
        self._claimed = claimed
        try:
            yield
        finally:
            self._claimed = None
            self._reporter.end()

    # What the worker's own thread calls. Each waits until the end is in the database.

    def tell(self, claimed: Claim, outcome: Outcome) -> bool:
        """End an attempt whose run came to an outcome.

        Returns:
            Whether that is the trial's result.

        Raises:
            StorageError: The database has been away for too long.
        """
        if outcome.paused:
            self._reporter.report(lambda: claimed.pause(outcome.attributes), ends_claim=True)
            self._told(claimed, "paused", str(outcome))
            return False
        self._reporter.report(
            lambda: claimed.tell(outcome.state, outcome.value, outcome.attributes), ends_claim=True
        )
        return self._told(claimed, outcome.state.name.lower(), str(outcome))

    def give_back(self, claimed: Claim, reason: str) -> None:
        """Return a trial to the queue as it was last saved.

        Raises:
            StorageError: The database has been away for too long.
        """
        self._reporter.report(claimed.give_back, ends_claim=True)
        self._told(claimed, "given back", f"{reason}: back in the queue")

    def retry(self, claimed: Claim, ending: Ending, reason: str) -> TrialState | None:
        """Have a trial whose run failed tried again, or failed where that is its own matter.

        Returns:
            Its new state; None where that isn't known, or another worker's.

        Raises:
            StorageError: The database has been away for too long.
        """
        states: list[TrialState] = []
        self._reporter.report(lambda: states.append(claimed.retry(ending, reason)), ends_claim=True)
        told = self._told(claimed, str(ending), f"{ending}: {reason}")
        return states[-1] if told else None

    def _told(self, claimed: Claim, outcome: str, text: str) -> bool:
        """Wait until the end of an attempt is in the database, and log it.

        Returns:
            Whether the trial was this worker's to the end.

        Raises:
            StorageError: The database has been away for too long.
        """
        if not self._settle():
            outcome, text = "untold", f"{text}, which the database can't be told now"
        elif self._reporter.lost:
            outcome = "lost"
            text = "another worker has it now, or its study is gone: this copy is dropped"
            metrics.TAKEN_OVER.inc()
        self._claimed = None  # freeing the run's loader processes may take seconds
        _log_end(claimed, outcome, text)
        self._reporter.check()
        if outcome == "lost" and claimed.study.is_deleted:
            self._forget(claimed)
        return outcome not in ("untold", "lost")

    def _settle(self) -> bool:
        """Wait until all is told, or there is no more use in waiting; whether it is told."""
        while not self._reporter.settle(_GLANCE_SECONDS):
            if self._stop():
                return self._reporter.settle(_LAST_REPORTS_SECONDS)
            if self._reporter.should_stop():
                return False
        return True

    # What other threads call while the worker's own can't.

    def let_go(self) -> None:
        """Give the trial back; its last saved state serves."""
        claimed = self._claimed
        if claimed is not None:
            self._reporter.report(claimed.give_back, ends_claim=True)
            told = self._reporter.settle(FAREWELL_SECONDS)
            _log_end(
                claimed,
                "given back" if told else "untold",
                "given back as it was last saved" if told else "the database can't be told now",
            )

    def end_stalled(self, stall: Stall) -> None:
        """End this process, whose own thread hangs; its trial goes back as it was last saved."""
        claimed = self._claimed
        label = self._worker if claimed is None else claimed.label
        try:
            log.error("%s  hangs: %s; this process ends", label, stall)
            self._reporter.show_stalled()
            states: list[TrialState] = []
            if claimed is not None:
                retry = partial(claimed.retry, Ending.STALLED, str(stall))
                self._reporter.report(lambda: states.append(retry()), ends_claim=True)
            told = self._reporter.settle(_LAST_REPORTS_SECONDS)
            if claimed is not None:
                text = fate(states[-1]) if states else "the database can't be told now"
                _log_end(claimed, "stalled" if told else "untold", text)
            logging.shutdown()
        finally:
            end_at_once(exit_codes.STALLED)


def fate(state: TrialState) -> str:
    """What becomes of a trial whose attempt failed, by its new state."""
    return "it has failed" if state.is_finished() else "back in the queue"


def _log_end(claimed: Claim, outcome: str, text: str) -> None:
    """Write the one line that a log has for each attempt at a trial that ended."""
    metrics.TRIALS.labels(claimed.study.name, outcome).inc()
    log.info(
        "%s  %s",
        claimed.label,
        text,
        extra={
            "event": "ended",
            "study": claimed.study.name,
            "trial": claimed.trial.number,
            "attempt": claimed.attempt,
            "outcome": outcome,
        },
    )
