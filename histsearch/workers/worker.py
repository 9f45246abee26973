"""The worker: claim a trial, run it, tell its outcome, until told to stop."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import torch
from optuna.trial import TrialState

from histsearch.data.dataset import Dataset, load_dataset
from histsearch.exceptions import (
    DataError,
    HistsearchError,
    StorageError,
    StudyError,
    WeightsError,
)
from histsearch.studies import trial_record
from histsearch.studies.catalog import find_study, list_studies
from histsearch.studies.queue import claim, give_back
from histsearch.studies.storage import Storage
from histsearch.studies.study import Study
from histsearch.training.trainer import InterruptedRunError
from histsearch.workers.preparation import find_weights, split_images
from histsearch.workers.stop_request import StopRequest
from histsearch.workers.trial_run import Outcome, TrialRunner

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is started with.

    Attributes:
        name: Shown in logs and recorded on trials.
        study_names: Studies to serve; every study when empty.
        drain: End when nothing is left to start, instead of waiting for new work.
        data_dir: Folder of the data sets, and of weights files that a space names.
        checkpoint_dir: Folder for retrained models.
        device: "cpu" or "cuda".
        threads: CPU threads of torch.
        loader_processes: Processes that decode images.
    """

    name: str
    study_names: Sequence[str]
    drain: bool
    data_dir: Path
    checkpoint_dir: Path
    device: str
    threads: int
    loader_processes: int


class Worker:
    """Serves studies one trial at a time; `run` returns when it is drained or stopped."""

    def __init__(self, storage: Storage, settings: WorkerSettings, stop: StopRequest) -> None:
        torch.set_num_threads(settings.threads)
        self._storage = storage
        self._settings = settings
        self._stop = stop
        self._datasets: dict[str, Dataset] = {}
        self._unusable: dict[str, HistsearchError] = {}
        self._turns: dict[str, int] = {}
        self._runner = TrialRunner(
            worker=settings.name,
            data_dir=settings.data_dir,
            checkpoint_dir=settings.checkpoint_dir,
            device=torch.device(settings.device),
            loader_processes=settings.loader_processes,
            should_stop=stop,
        )

    def run(self) -> None:
        """Run trials until drained or stopped.

        Raises:
            StudyError: a named study doesn't exist.
            HistsearchError: a study lacks something on this machine, and no other work is left.
        """
        for name in self._settings.study_names:
            find_study(self._storage, name)
        idle = False
        while not self._stop():
            if self._run_one():
                idle = False
                continue
            self._check_usable()
            if self._settings.drain:
                log.info("nothing left to start")
                return
            if not idle:
                log.info("waiting for work")
            idle = True
            self._stop.wait(IDLE_SECONDS)
        log.info("stopped")

    def _run_one(self) -> bool:
        """Run the next trial of the study whose turn it is; False if there is none."""
        for study in self._open_studies():
            dataset = self._prepare(study)
            if dataset is None:
                continue
            with self._unless_deleted(study):
                trial = claim(study)
                if trial is not None:
                    self._turns[study.name] = max(self._turns.values(), default=0) + 1
                    self._execute(study, trial, dataset)
                    return True
        return False

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
            if study.name not in self._unusable and (not names or study.name in names)
        ]

    def _prepare(self, study: Study) -> Dataset | None:
        """Load what the study needs before claiming, so that a lack of it costs no trial."""
        space = study.definition.space
        try:
            find_weights(space, self._settings.data_dir)
            if space.dataset not in self._datasets:
                self._datasets[space.dataset] = load_dataset(space.dataset, self._settings.data_dir)
            dataset = self._datasets[space.dataset]
            split_images(dataset, space.protocol)
            study.check_images(dataset.fingerprint())
        except HistsearchError as error:
            self._leave(study, error)
            return None
        return dataset

    def _leave(self, study: Study, error: HistsearchError) -> None:
        log.error("leaving study %s to other workers: %s", study.name, error)
        self._unusable[study.name] = error

    def _check_usable(self) -> None:
        """Don't idle, or end well, over studies that this machine can't serve."""
        names = set(self._settings.study_names)
        none_left = bool(names) and names <= self._unusable.keys()
        if self._unusable and (none_left or self._settings.drain):
            raise next(iter(self._unusable.values()))

    def _execute(self, study: Study, trial: optuna.Trial, dataset: Dataset) -> None:
        label = f"{study.name} #{trial.number}"
        parameters = " ".join(f"{name}={value}" for name, value in trial.params.items())
        log.info("%s  started: %s", label, parameters)
        try:
            outcome = self._runner.run(study, trial, dataset)
        except InterruptedRunError:
            give_back(study, trial)
            log.info("%s  interrupted: back in the queue", label)
            return
        except StorageError:
            raise  # the database is gone: there is nowhere to tell it
        except (DataError, WeightsError) as error:
            give_back(study, trial)
            self._leave(study, error)
            return
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            trial.set_user_attr(trial_record.REASON, reason)
            self._tell(study, trial, Outcome(TrialState.FAIL, reason=reason))
            raise
        self._tell(study, trial, outcome)
        log.info("%s  %s", label, outcome)

    def _tell(self, study: Study, trial: optuna.Trial, outcome: Outcome) -> None:
        study.optuna_study.tell(trial, outcome.value, outcome.state)

    @contextmanager
    def _unless_deleted(self, study: Study) -> Iterator[None]:
        """Leave the block without a crash when the study is deleted meanwhile."""
        try:
            yield
        except KeyError:
            if self._exists(study):
                raise
            log.warning("study %s was deleted", study.name)

    def _exists(self, study: Study) -> bool:
        try:
            find_study(self._storage, study.name)
        except StudyError:
            return False
        return True
