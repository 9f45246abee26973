"""The worker: claim a trial, run it, tell its outcome, until told to stop."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import torch
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from histsearch.data.census import Census
from histsearch.data.dataset import Dataset
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
from histsearch.processes import end_at_once
from histsearch.space.configuration import Value
from histsearch.space.trained_space import TrainedSpace
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.catalog import find_study, list_studies
from histsearch.studies.claim import Claim
from histsearch.studies.half_created import half_created_studies
from histsearch.studies.images import count_images, image_warnings, note_census
from histsearch.studies.liveness import DoubtfulTrials
from histsearch.studies.queue import claim, requeue_abandoned
from histsearch.studies.study import Study
from histsearch.studies.study_end import end_if_due
from histsearch.training.checkpoint_store import open_checkpoint_store
from histsearch.training.run_inputs import RunInputs, find_run_parts, load_images
from histsearch.training.trainer import InterruptedRunError
from histsearch.wording import value_text
from histsearch.workers import exit_codes, metrics
from histsearch.workers.database_wait import wait_for_database
from histsearch.workers.deaths import Deaths
from histsearch.workers.device_fault import is_device_fault
from histsearch.workers.held_back import held_back
from histsearch.workers.missing_resources import Lack, LackError, find_lack
from histsearch.workers.process_suspension import AwakeClock
from histsearch.workers.progress_watch import ProgressWatch, Stall, WatchTimes
from histsearch.workers.registry import Activity, Identity, grace_seconds, sign_on
from histsearch.workers.reporter import Reporter
from histsearch.workers.stop_request import FAREWELL_SECONDS, StopRequest
from histsearch.workers.trial_run import Outcome, RunShortOfError, TrialRunner

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0

# After a stop signal a trial's last reports may take this long.
_LAST_REPORTS_SECONDS = 2.5


def _short_of(lack: Lack, found: str) -> LackError:
    return LackError(f"{found}: this machine is short of {lack.value}; {lack.advice()}")


def _fate(states: Sequence[TrialState]) -> str:
    """What becomes of a trial whose attempt failed, by the state that it was told to be in."""
    if not states:
        return "the database can't be told now"
    return "it has failed" if states[-1].is_finished() else "back in the queue"


class DeviceFaultError(Exception):
    """The device can't be used by this process any more; a new process may be able to."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is started with.

    Attributes:
        identity: Who it is.
        study_names: Studies to serve; every study when empty.
        drain: End when nothing is left to do, instead of waiting for new work.
        data_dir: Folder of the data sets, and of weights files that a space names.
        checkpoints: Folder or s3:// address of runs' states and retrained models.
        checkpoint_every: Epochs from one saved state to the next.
        heartbeat_seconds: Time between two signs of life.
        patience_seconds: How long the database may be away.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
        loader_processes: Processes that decode images.
        watch_times: How long its work may be without progress.
    """

    identity: Identity
    study_names: Sequence[str]
    drain: bool
    data_dir: Path
    checkpoints: str
    checkpoint_every: int
    heartbeat_seconds: float
    patience_seconds: float
    device: str
    threads: int
    loader_processes: int
    watch_times: WatchTimes = field(default_factory=WatchTimes)


class Worker:
    """Serves studies one trial at a time; `run` returns when it is drained or stopped."""

    def __init__(self, storage: Storage, settings: WorkerSettings, stop: StopRequest) -> None:
        torch.set_num_threads(settings.threads)
        self._storage = storage
        self._settings = settings
        self._stop = stop
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._unusable: dict[int, tuple[str, HistsearchError]] = {}  # by the study's key
        self._told_images: set[int] = set()
        self._turns: dict[str, int] = {}
        self._doubts: DoubtfulTrials | None = None  # while idle
        self._claimed: Claim | None = None
        self._deaths: dict[int, Deaths] = {}
        self._clock = AwakeClock()
        self._watch = ProgressWatch(self._end_stalled, settings.watch_times, self._clock)
        self._checkpoints = open_checkpoint_store(settings.checkpoints)

    def run(self) -> None:
        """Run trials until drained or stopped.

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
        # Without a place for states nothing could be paused, resumed or kept.
        self._checkpoints.check(f"check-{uuid4().hex}")
        signed_on = wait_for_database(self._sign_on, self._settings.patience_seconds, self._stop)
        if signed_on is None:
            return
        self._id = signed_on
        self._reporter = Reporter(
            self._storage,
            self._id,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            patience_seconds=self._settings.patience_seconds,
            clock=self._clock,
        )
        self._runner = TrialRunner(
            worker=self._settings.identity.name,
            reporter=self._reporter,
            checkpoints=self._checkpoints,
            checkpoint_every=self._settings.checkpoint_every,
            device=torch.device(self._settings.device),
            loader_processes=self._settings.loader_processes,
            should_stop=self._stop,
            watch=self._watch,
            on_epoch=lambda study: self._deaths_of(study).note_epoch(),
            clock=self._clock,
        )
        self._stop.at_deadline = self._let_go
        with self._clock, self._reporter, self._watch:
            self._serve()

    def _sign_on(self) -> int:
        for name in self._settings.study_names:
            find_study(self._storage, name).definition.check_version(name)
        if not self._settings.study_names:
            for half in half_created_studies(self._storage):
                log.warning("%s", half)
        heartbeat_seconds = self._settings.heartbeat_seconds
        # A transaction of its own that is suspended may be over when it counts as gone.
        self._storage.limit_pauses(grace_seconds(heartbeat_seconds) / 2)
        return sign_on(
            self._storage,
            self._settings.identity,
            heartbeat_seconds,
            self._settings.study_names,
        )

    def _serve(self) -> None:
        while not self._stop():
            try:
                done = self._work_once()
            except InterruptedRunError:  # before it had a trial
                break
            except DatabaseAwayError as error:
                self._reporter.check()
                log.warning("no work without the database: %s", error)
                self._stop.wait(IDLE_SECONDS)
                continue
            if done:
                return
        log.info("stopped")

    def _work_once(self) -> bool:
        """Run a trial, or wait a moment for one; True when drained."""
        self._reporter.check()
        for failed in requeue_abandoned(self._storage, self._id, self._reporter.watch):
            self._runner.forget(failed)
        if self._run_one():
            self._doubts = None
            return False
        self._check_usable()
        has_just_begun = self._doubts is None
        self._doubts = self._doubts or DoubtfulTrials()
        if self._settings.drain and not self._may_get_work(self._doubts):
            log.info("%s", held_back(self._served()) or "nothing left to do")
            return True
        if has_just_begun:
            self._reporter.show(Activity("idle"))
            paused = held_back(self._served())
            log.info("waiting for work%s", f": {paused}" if paused else "")
        self._stop.wait(IDLE_SECONDS)
        return False

    def _may_get_work(self, doubts: DoubtfulTrials) -> bool:
        """Whether a trial that runs elsewhere may come back, its worker being gone."""
        return doubts.count(self._storage, [study.id for study in self._served()]) > 0

    def _run_one(self) -> bool:
        """Run the next trial of the study whose turn it is; False if there is none."""
        for study in self._open_studies():
            # What an idle worker looks through again and again is mostly others' work.
            self._stop.leaves_work = self._doubts is None
            with self._unless_deleted(study):
                inputs = self._prepare(study)
                if inputs is None:
                    continue
                claimed = self._next_trial(study)
                if claimed is not None:
                    self._stop.leaves_work = True
                    self._turns[study.name] = max(self._turns.values(), default=0) + 1
                    self._execute(claimed, inputs)
                    return True
        self._stop.leaves_work = False
        return False

    def _next_trial(self, study: Study) -> Claim | None:
        """Claim a study's next trial; one whose sampler fails is left to other workers."""
        try:
            for closed in end_if_due(study):
                self._runner.forget(closed)
            return claim(study, self._id)
        # What numbers too large for a float, an array or this machine's memory bring about.
        except (ArithmeticError, MemoryError, ValueError) as error:
            log.exception("study %s: no next trial could be chosen", study.name)
            reason = f"{type(error).__name__}: {error}"
            self._leave(
                study,
                StudyError(
                    f'no next trial of "{study.name}" could be chosen ({reason}); create it anew '
                    "with fewer epochs or narrower ranges"
                ),
            )
            return None

    def _open_studies(self) -> list[Study]:
        """Studies with work, the one with the fewest running trials first.

        Among equals, the one this worker served longest ago comes first.
        """
        turns: list[tuple[int, int, str, Study]] = []
        for study in self._served():
            with self._unless_deleted(study):
                if study.is_open:
                    running = study.count(TrialState.RUNNING)
                    turns.append((running, self._turns.get(study.name, 0), study.name, study))
        return [study for *_, study in sorted(turns, key=lambda turn: turn[:3])]

    def _served(self) -> list[Study]:
        names = self._settings.study_names
        return [
            study
            for study in list_studies(self._storage)
            if study.id not in self._unusable and (not names or study.name in names)
        ]

    def _prepare(self, study: Study) -> RunInputs | None:
        """Load what the study needs before claiming, so that a lack of it costs no trial.

        Returns:
            What its runs have in common; None if the study was left to other workers.

        Raises:
            InterruptedRunError: A stop signal came meanwhile.
        """
        space = study.definition.space
        try:
            study.definition.check_version(study.name)
            study.definition.check_providers()
            parts = find_run_parts(space, self._settings.data_dir)
            dataset = self._dataset(space)
            census = count_images(dataset, study.definition)
            study.check_images(dataset.fingerprint())
        except StorageError:
            raise
        except HistsearchError as error:
            self._leave(study, error)
            return None
        except BrokenProcessPool as error:
            if self._stop():  # the decoding processes were stopped along with this one
                raise InterruptedRunError from error
            self._leave(study, _short_of(Lack.MEMORY, "a process that reads images was killed"))
            return None
        except (MemoryError, OSError) as error:
            lack = find_lack(error)
            if lack is None:
                raise
            self._leave(study, _short_of(lack, f"{type(error).__name__}: {error}"))
            return None
        if self._stop():
            raise InterruptedRunError
        study.note_left(self._settings.identity.host, None)
        self._tell_images(study, census)
        return RunInputs(dataset, parts)

    def _tell_images(self, study: Study, census: Census) -> None:
        """Say once what a study's images are and what they can't tell, and keep it with it."""
        if study.id in self._told_images:
            return
        note_census(study, census)
        log.info("study %s: %s", study.name, census)
        for warning in image_warnings(study, census):
            log.warning("study %s: %s", study.name, warning)
        self._told_images.add(study.id)

    def _dataset(self, space: TrainedSpace) -> Dataset:
        key = (space.dataset, space.on_bad_image)
        if key not in self._datasets:
            self._doubts = None  # it isn't idle any more
            self._stop.leaves_work = True
            self._reporter.show(Activity(f"reading {space.dataset}"))
            with self._watch.watching("reading images", begins_long=True):
                self._datasets[key] = load_images(
                    space,
                    self._settings.data_dir,
                    self._settings.loader_processes,
                    on_image=self._watch.progress,
                )
        return self._datasets[key]

    def _leave(self, study: Study, error: HistsearchError) -> None:
        log.error("leaving study %s to other workers until restarted: %s", study.name, error)
        self._unusable[study.id] = (study.name, error)
        study.note_left(self._settings.identity.host, str(error))

    def _check_usable(self) -> None:
        """Don't idle, or end well, over studies that this machine can't serve."""
        if not self._unusable:
            return
        existing = {study.id for study in list_studies(self._storage)}
        self._unusable = {key: left for key, left in self._unusable.items() if key in existing}
        names = set(self._settings.study_names)
        none_left = bool(names) and names <= {name for name, _ in self._unusable.values()}
        for name, error in self._unusable.values():
            if none_left or self._settings.drain or self._is_of_no_use(error):
                raise type(error)(f"study {name} was left to other workers: {error}") from error

    def _is_of_no_use(self, error: HistsearchError) -> bool:
        """Whether this machine lacks what trials need, and nothing else may come up to serve."""
        if not isinstance(error, LackError):
            return False
        return all(study.is_finished for study in self._served())

    def _execute(self, claimed: Claim, inputs: RunInputs) -> None:
        parameters = " ".join(
            f"{name}={value_text(value)}" for name, value in claimed.trial.params.items()
        )
        crashes = len(claimed.trial.user_attrs.get(trial_record.RETRIES, ()))
        verb = "goes on" if claimed.trial.intermediate_values else "started"
        again = f" (attempt {crashes + 1})" if crashes else ""
        log.info("%s  %s%s: %s", claimed.label, verb, again, parameters)
        self._reporter.begin(claimed)
        self._claimed = claimed
        try:
            self._run_to_outcome(claimed, inputs)
        finally:
            self._claimed = None
            self._reporter.end()

    def _let_go(self) -> None:
        """Give the trial back while this worker's own thread can't; its last saved state serves."""
        claimed = self._claimed
        if claimed is not None:
            self._reporter.report(claimed.give_back, ends_claim=True)
            told = self._reporter.settle(FAREWELL_SECONDS)
            self._log_end(
                claimed,
                "given back" if told else "untold",
                "given back as it was last saved" if told else "the database can't be told now",
            )

    def _end_stalled(self, stall: Stall) -> None:
        """End this process, whose own thread hangs; its trial goes back as it was last saved."""
        claimed = self._claimed
        label = self._settings.identity.name if claimed is None else claimed.label
        try:
            log.error("%s  hangs: %s; this process ends", label, stall)
            self._reporter.show_stalled()
            states: list[TrialState] = []
            if claimed is not None:
                retry = partial(claimed.retry, Ending.STALLED, str(stall))
                self._reporter.report(lambda: states.append(retry()), ends_claim=True)
            told = self._reporter.settle(_LAST_REPORTS_SECONDS)
            if claimed is not None:
                self._log_end(claimed, "stalled" if told else "untold", _fate(states))
        finally:
            end_at_once(exit_codes.STALLED)

    def _run_to_outcome(self, claimed: Claim, inputs: RunInputs) -> None:
        shortage: tuple[Lack, str] | None = None
        try:
            outcome = self._runner.run(claimed, inputs)
        except InterruptedRunError:
            self._give_back(claimed, "interrupted")
        except StorageError as error:
            self._give_back(claimed, str(error))
        except (DataError, WeightsError) as error:
            self._give_back(claimed, str(error))
            self._leave(claimed.study, error)
        except StoreFullError as error:
            self._give_back(claimed, str(error))
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
        if outcome.paused:
            self._reporter.report(claimed.pause, ends_claim=True)
            self._told(claimed, "paused", str(outcome))
            return
        self._reporter.report(lambda: claimed.tell(outcome.state, outcome.value), ends_claim=True)
        # Until then its state is kept, from which another attempt would come to the same outcome.
        if self._told(claimed, outcome.state.name.lower(), str(outcome)):
            self._runner.forget(claimed)
            if self._stop():
                self._stop.leaves_work = bool(self._open_studies())

    def _give_back(self, claimed: Claim, reason: str) -> None:
        self._reporter.report(claimed.give_back, ends_claim=True)
        self._told(claimed, "given back", f"{reason}: back in the queue")

    def _retry(self, claimed: Claim, error: Exception) -> None:
        """Have a trial whose run failed tried again, or failed when that was its last retry."""
        fault = is_device_fault(error)
        expected = fault or isinstance(error, HistsearchError)
        ending = Ending.DEVICE_FAULT if fault else Ending.CRASHED
        reason = f"{type(error).__name__}: {error}"
        log.error("%s  %s", claimed.label, ending, exc_info=None if expected else error)
        states: list[TrialState] = []
        self._reporter.report(lambda: states.append(claimed.retry(ending, reason)), ends_claim=True)
        told = self._told(claimed, str(ending), f"{ending}: {reason}")
        if told and states[-1].is_finished():
            log.error("%s  failed: its retries are used up", claimed.label)
            self._runner.forget(claimed)
        if fault:
            raise DeviceFaultError(reason) from error
        deaths = self._deaths_of(claimed.study)
        if told:
            deaths.note_crash(self._configuration(claimed))
        if deaths.are_too_many:
            advice = "mend what the log shows, or use another machine"
            self._leave(claimed.study, LackError(f"{deaths} ({reason}); {advice}"))

    def _return_for_want(self, claimed: Claim, lack: Lack, reason: str) -> None:
        """Have others try a trial for which this machine has too little of something.

        It fails where that is the configuration's own matter.
        """
        states: list[TrialState] = []
        self._reporter.report(
            lambda: states.append(claimed.retry(Ending.LACK, reason)), ends_claim=True
        )
        if not self._told(claimed, Ending.LACK.value, f"{Ending.LACK}: {reason}"):
            return
        log.warning("%s  %s", claimed.label, _fate(states))
        if states[-1].is_finished():
            self._runner.forget(claimed)
            return
        deaths = self._deaths_of(claimed.study)
        deaths.note_lack(claimed.trial.number, self._configuration(claimed))
        if deaths.are_too_many:
            self._leave(claimed.study, _short_of(lack, f"{deaths} ({reason})"))

    def _deaths_of(self, study: Study) -> Deaths:
        return self._deaths.setdefault(study.id, Deaths(study.definition.space))

    def _configuration(self, claimed: Claim) -> dict[str, Value]:
        return {name: claimed.trial.params[name] for name in claimed.study.definition.space.search}

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
        self._log_end(claimed, outcome, text)
        self._reporter.check()
        if outcome == "lost" and claimed.study.is_deleted:
            self._runner.forget(claimed)
        return outcome not in ("untold", "lost")

    def _log_end(self, claimed: Claim, outcome: str, text: str) -> None:
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

    def _settle(self) -> bool:
        """Wait until all is told, or there is no more use in waiting; whether it is told."""
        while not self._reporter.settle(IDLE_SECONDS):
            if self._stop():
                return self._reporter.settle(_LAST_REPORTS_SECONDS)
            if self._reporter.should_stop():
                return False
        return True

    @contextmanager
    def _unless_deleted(self, study: Study) -> Iterator[None]:
        """Leave the block without a crash when the study is deleted meanwhile."""
        try:
            yield
        except (KeyError, IntegrityError):
            if not study.is_deleted:
                raise
            log.warning("study %s was deleted", study.name)
