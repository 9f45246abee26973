"""The worker: claim a trial, run it, tell its outcome, until told to stop."""

import logging
from uuid import uuid4

import torch

from histsearch.database.storage import Storage
from histsearch.exceptions import (
    DatabaseAwayError,
    DataError,
    HistsearchError,
    StorageError,
    StoreFullError,
    StudyError,
    WeightsError,
)
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import find_study
from histsearch.studies.claim import Claim
from histsearch.studies.half_created import half_created_studies
from histsearch.studies.liveness import DoubtfulTrials
from histsearch.studies.queue import claim, requeue_abandoned
from histsearch.studies.study import Study
from histsearch.studies.study_end import end_if_due
from histsearch.training.checkpoint_store import CheckpointStore, open_checkpoint_store
from histsearch.training.progress_display import Phase
from histsearch.training.run_inputs import RunInputs
from histsearch.training.trainer import InterruptedRunError
from histsearch.wording import value_text
from histsearch.workers.database_wait import wait_for_database
from histsearch.workers.deaths import Deaths
from histsearch.workers.device_fault import is_device_fault
from histsearch.workers.held_back import held_back
from histsearch.workers.missing_resources import Lack, LackError, short_of
from histsearch.workers.outcome import Outcome
from histsearch.workers.process_suspension import AwakeClock
from histsearch.workers.progress_watch import ProgressWatch, Stall
from histsearch.workers.registry import IDLE, Activity, grace_seconds, sign_on
from histsearch.workers.reporter import Reporter
from histsearch.workers.run_context import RunContext
from histsearch.workers.served_studies import ServedStudies, unless_deleted
from histsearch.workers.settings import WorkerSettings
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.study_inputs import StudyInputs
from histsearch.workers.teller import Teller, fate
from histsearch.workers.trial_runner import RunShortOfError, TrialRunner

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0


class DeviceFaultError(Exception):
    """The device can't be used by this process any more; a new process may be able to."""


def run_worker(storage: Storage, settings: WorkerSettings, stop: StopRequest) -> None:
    """Sign a worker on, and run trials until it is drained or stopped.

    Raises:
        StudyError: A named study doesn't exist, or is another version's.
        StorageError: The database has been away for too long, or refuses for good.
        CheckpointError: The states of runs can't be kept where they should be.
        StoreFullError: There is no room for them.
        DeviceFaultError: The device can't be used by this process any more.
        LackError: This machine is short of something that the trials of a study need, and no
            other work is left.
        HistsearchError: A study lacks something on this machine, and no other work is left.
    """
    torch.set_num_threads(settings.threads)
    checkpoints = open_checkpoint_store(settings.checkpoints)
    # Without a place for states nothing could be paused, resumed or kept.
    checkpoints.check(f"check-{uuid4().hex}")
    worker_id = wait_for_database(
        lambda: _sign_on(storage, settings), settings.patience_seconds, stop
    )
    if worker_id is not None:
        Worker(storage, settings, stop, checkpoints, worker_id).run()


def _sign_on(storage: Storage, settings: WorkerSettings) -> int:
    for name in settings.study_names:
        find_study(storage, name).definition.check_version(name)
    if not settings.study_names:
        for half in half_created_studies(storage):
            log.warning("%s", half)
    # A transaction of its own that is suspended may be over when it counts as gone.
    storage.limit_pauses(grace_seconds(settings.heartbeat_seconds) / 2)
    return sign_on(
        storage, settings.identity, settings.heartbeat_seconds, serves=settings.study_names
    )


class Worker:
    """Serves studies one trial at a time.

    Args:
        storage: Where the studies are.
        settings: What it is started with.
        stop: Its request to stop.
        checkpoints: Where runs are saved, and retrained models.
        worker_id: Its key in the database.
    """

    def __init__(
        self,
        storage: Storage,
        settings: WorkerSettings,
        stop: StopRequest,
        checkpoints: CheckpointStore,
        worker_id: int,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._stop = stop
        self._id = worker_id
        self._is_idle = False
        self._has_read = False
        self._doubts = DoubtfulTrials()  # since it is idle
        self._deaths: dict[int, Deaths] = {}
        self._clock = AwakeClock()
        self._next_look = 0.0
        self._watch = ProgressWatch(self._end_stalled, settings.watch_times, self._clock)
        self._saving_watch = ProgressWatch(self._end_stalled, settings.watch_times, self._clock)
        self._reporter = Reporter(
            storage,
            worker_id,
            heartbeat_seconds=settings.heartbeat_seconds,
            patience_seconds=settings.patience_seconds,
            clock=self._clock,
        )
        self._runner = TrialRunner(
            RunContext(
                settings,
                self._reporter,
                checkpoints,
                should_stop=stop,
                clock=self._charged_seconds,
                watch=self._watch,
                saving_watch=self._saving_watch,
                on_epoch=lambda study: self._deaths_of(study).note_epoch(),
            )
        )
        self._teller = Teller(settings.identity.name, self._reporter, stop, self._runner.forget)
        self._studies = ServedStudies(storage, settings)
        self._inputs = StudyInputs(settings, self._watch, stop, self._note_reading)

    def _charged_seconds(self) -> float:
        """What trials are charged: of each second, the slot's share."""
        return self._clock() * self._settings.identity.share

    def _end_stalled(self, stall: Stall) -> None:
        self._teller.end_stalled(stall)

    def run(self) -> None:
        """Run trials until drained or stopped; raises what `run_worker` does."""
        self._stop.at_deadline = self._teller.let_go
        with self._clock, self._reporter, self._watch, self._saving_watch:
            self._serve()

    def _serve(self) -> None:
        while not self._stop():
            try:
                done = self._work_once()
            except InterruptedRunError:  # before it had a trial
                break
            except DatabaseAwayError as error:
                self._reporter.check()
                log.warning("no work without the database: %s", error)
                self._next_look = 0.0  # a claim that it wasn't told of may be its own
                self._stop.wait(IDLE_SECONDS)
                continue
            if done:
                return
        log.info("stopped")

    def _work_once(self) -> bool:
        """Run a trial, or wait a moment for one; True when drained."""
        self._reporter.check()
        self._look_after_others()
        if self._run_one():
            self._is_idle = False
            return False
        self._studies.check_left()
        self._settings.display.end()
        has_just_begun = not self._is_idle
        if has_just_begun:
            self._is_idle, self._doubts = True, DoubtfulTrials()
        if self._settings.drain and not self._may_get_work():
            log.info("%s", held_back(self._studies.all()) or "nothing left to do")
            return True
        if has_just_begun:
            self._reporter.show(Activity(IDLE))
            if self._settings.slot is not None:
                self._settings.slot.tell(None)
            paused = held_back(self._studies.all())
            log.info("waiting for work%s", f": {paused}" if paused else "")
        self._stop.wait(IDLE_SECONDS)
        return False

    def _look_after_others(self) -> None:
        """Queue the trials again whose workers are gone; between two trials no more than needed."""
        now = self._clock()
        if not self._is_idle and now < self._next_look:
            return
        for failed in requeue_abandoned(self._storage, self._id, self._reporter.watch):
            self._runner.forget(failed)
        self._next_look = now + self._settings.heartbeat_seconds

    def _may_get_work(self) -> bool:
        """Whether a trial that runs elsewhere may come back, its worker being gone."""
        served = [study.id for study in self._studies.all()]
        return self._doubts.count(self._storage, served) > 0

    def _run_one(self) -> bool:
        """Run the next trial of the study whose turn it is; False if there is none."""
        with self._storage.keeping.at_one_moment():
            found = self._find_trial()
        self._stop.leaves_work = found is not None
        if found is None:
            return False
        claimed, inputs = found
        self._studies.take_turn(claimed.study)
        with unless_deleted(claimed.study):
            self._execute(claimed, inputs)
        return True

    def _find_trial(self) -> tuple[Claim, RunInputs] | None:
        """Claim the next trial of the study whose turn it is; None if there is none."""
        for study in self._studies.open():
            # What an idle worker looks through again and again is mostly others' work.
            self._stop.leaves_work = not self._is_idle
            with unless_deleted(study):
                inputs = self._prepare(study)
                claimed = None if inputs is None else self._next_trial(study)
                if inputs is not None and claimed is not None:
                    return claimed, inputs
        return None

    def _next_trial(self, study: Study) -> Claim | None:
        """Claim a study's next trial; one whose sampler fails is left to other workers."""
        if not self._is_idle:
            self._settings.display.begin(Phase(f"choosing the next trial of {study.name}"))
        try:
            closed = end_if_due(study, self._id)
            for one in closed:
                self._runner.forget(one)
            claimed = claim(study, self._id)
            if closed and claimed is None:
                self._storage.keeping.look_again()
                self._studies.note_end(study)
            return claimed
        # What numbers too large for a float, an array or this machine's memory bring about.
        except (ArithmeticError, MemoryError, ValueError) as error:
            log.exception("study %s: no next trial could be chosen", study.name)
            reason = f"{type(error).__name__}: {error}"
            self._studies.leave(
                study,
                StudyError(
                    f'no next trial of "{study.name}" could be chosen ({reason}); create it anew '
                    "with fewer epochs or narrower ranges"
                ),
            )
            return None

    def _prepare(self, study: Study) -> RunInputs | None:
        """Load what the study needs before claiming, so that a lack of it costs no trial.

        Returns:
            What its runs have in common; None if the study was left to other workers.

        Raises:
            InterruptedRunError: A stop signal came meanwhile.
        """
        self._has_read = False
        try:
            inputs = self._inputs.load(study)
        except StorageError:
            raise
        except HistsearchError as error:
            self._studies.leave(study, error)
            return None
        if self._has_read:
            self._storage.keeping.look_again()
        study.note_left(self._settings.identity.host, None)
        return inputs

    def _note_reading(self, dataset: str) -> None:
        self._has_read = True  # which takes long
        self._is_idle = False
        self._stop.leaves_work = True
        self._reporter.show(Activity(f"reading {dataset}"))

    def _execute(self, claimed: Claim, inputs: RunInputs) -> None:
        parameters = " ".join(
            f"{name}={value_text(value)}" for name, value in claimed.trial.params.items()
        )
        crashes = len(claimed.trial.user_attrs.get(trial_record.RETRIES, ()))
        verb = "goes on" if claimed.trial.intermediate_values else "started"
        again = f" (attempt {crashes + 1})" if crashes else ""
        log.info("%s  %s%s: %s", claimed.label, verb, again, parameters)
        with self._teller.attempt(claimed):
            self._run_to_outcome(claimed, inputs)

    def _run_to_outcome(self, claimed: Claim, inputs: RunInputs) -> None:
        shortage: tuple[Lack, str] | None = None
        try:
            outcome = self._runner.run(claimed, inputs)
        except InterruptedRunError:
            self._teller.give_back(claimed, "interrupted")
        except StorageError as error:
            self._teller.give_back(claimed, str(error))
        except (DataError, WeightsError) as error:
            self._teller.give_back(claimed, str(error))
            self._studies.leave(claimed.study, error)
        except StoreFullError as error:
            self._teller.give_back(claimed, str(error))
            raise
        except RunShortOfError as error:
            shortage = error.lack, str(error)
        # Whatever a configuration brings about, the worker lives, and others get their turn.
        except Exception as error:  # noqa: BLE001
            self._retry(claimed, error)
        else:
            self._tell(claimed, outcome)
        if shortage is not None:
            self._runner.free_memory()  # the error held the run until now
            self._return_for_want(claimed, *shortage)

    def _tell(self, claimed: Claim, outcome: Outcome) -> None:
        # Until then its state is kept, from which another attempt would come to the same outcome.
        if self._teller.tell(claimed, outcome):
            self._runner.forget(claimed)
            if self._stop():
                self._stop.leaves_work = bool(self._studies.open())

    def _retry(self, claimed: Claim, error: Exception) -> None:
        """Have a trial whose run failed tried again, or failed when that was its last retry."""
        fault = is_device_fault(error)
        expected = fault or isinstance(error, HistsearchError)
        ending = Ending.DEVICE_FAULT if fault else Ending.CRASHED
        reason = f"{type(error).__name__}: {error}"
        log.error("%s  %s", claimed.label, ending, exc_info=None if expected else error)
        state = self._teller.retry(claimed, ending, reason)
        if state is not None and state.is_finished():
            log.error("%s  failed: its retries are used up", claimed.label)
            self._runner.forget(claimed)
        if fault:
            raise DeviceFaultError(reason) from error
        deaths = self._deaths_of(claimed.study)
        if state is not None:
            deaths.note_crash(claimed.configuration)
        if deaths.are_too_many:
            advice = "mend what the log shows, or use another machine"
            self._studies.leave(claimed.study, LackError(f"{deaths} ({reason}); {advice}"))

    def _return_for_want(self, claimed: Claim, lack: Lack, reason: str) -> None:
        """Have others try a trial for which this machine has too little of something.

        It fails where that is the configuration's own matter.
        """
        state = self._teller.retry(claimed, Ending.LACK, reason)
        if state is None:
            return
        log.warning("%s  %s", claimed.label, fate(state))
        if state.is_finished():
            self._runner.forget(claimed)
            return
        deaths = self._deaths_of(claimed.study)
        deaths.note_lack(claimed.trial.number, claimed.configuration)
        if deaths.are_too_many:
            self._studies.leave(claimed.study, short_of(lack, f"{deaths} ({reason})"))

    def _deaths_of(self, study: Study) -> Deaths:
        return self._deaths.setdefault(study.id, Deaths(study.definition.space))
