"""What goes on at the moment: the studies and their workers."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from histsearch.database.storage import Storage
from histsearch.reports.epochs_done import EpochsDone, epochs_done, may_end_earlier
from histsearch.reports.leader import Leader
from histsearch.reports.time_left import TimeLeft, time_left
from histsearch.reports.winner import judge
from histsearch.studies.catalog import list_studies, unreadable_studies
from histsearch.studies.epoch_sums import sum_epochs
from histsearch.studies.half_created import HalfCreated, half_created_studies
from histsearch.studies.hours import hours_unit, in_hours
from histsearch.studies.study import Study
from histsearch.studies.trial_sums import TrialSums, sum_trials
from histsearch.workers.registry import RegisteredWorker, list_workers

State = Literal["open", "paused", "finished"]


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        name: The study.
        state: "open", "paused" or "finished".
        trials: Number of trials in each state, as `TrialSums.by_name`.
        finished: Trials that have ended, whichever way.
        budget: Trials there will be.
        epochs: Epochs that are trained, and expected.
        retries: Attempts that failed and were made good by another, so far.
        objective: Label of the metric that the study maximises.
        best: The score of a search's winner, in [0, 1]; None before the first completed trial, and
            for a retraining, whose result is a mean over seeds.
        leader: A search's leader; None before its first epoch, and for a retraining.
        hours: Device hours spent so far.
        hours_unit: What the hours are hours of.
        time_left: Time until it is finished; None while nobody works on it, and before its first
            epoch.
        may_end_earlier: Whether it may be decided before that time.
        left_by: Hosts whose last worker could not serve it, and why; none of a finished study.
    """

    name: str
    state: State
    trials: dict[str, int]
    finished: int
    budget: int
    epochs: EpochsDone
    retries: int
    objective: str
    best: float | None
    leader: Leader | None
    hours: float
    hours_unit: str
    time_left: TimeLeft | None
    may_end_earlier: bool
    left_by: dict[str, str]


@dataclass(frozen=True)
class Status:
    """All studies, and the workers that live or died within a day.

    Attributes:
        studies: Those that can be served.
        half_created: Those that an earlier version didn't finish to create.
        unreadable: Those whose definition this version can't read, with what to do about it.
        workers: The workers.
    """

    studies: list[StudyStatus]
    half_created: list[HalfCreated]
    unreadable: dict[str, str]
    workers: list[RegisteredWorker]

    def to_json(self) -> dict[str, Any]:
        """The contents of ``histsearch status --json``."""
        return {
            "studies": [asdict(study) for study in self.studies],
            "half_created": [half.name for half in self.half_created],
            "unreadable": list(self.unreadable),
            "workers": [
                {
                    **asdict(worker.identity),
                    "version": worker.version,
                    "serves": list(worker.serves),
                    "state": "gone" if worker.gone else worker.activity.word,
                    **{k: v for k, v in asdict(worker.activity).items() if k != "word"},
                    "silent_seconds": worker.silent_seconds,
                }
                for worker in self.workers
            ],
        }


def take_status(storage: Storage) -> Status:
    """Look at the studies and their workers."""
    workers = list_workers(storage)
    found = list_studies(storage)
    sums = sum_trials(storage, [study.id for study in found])
    studies = []
    for study in found:
        with suppress(KeyError):  # it was deleted a moment ago
            studies.append(_study_status(study, sums[study.id], workers))
    return Status(
        studies=studies,
        half_created=half_created_studies(storage),
        unreadable=unreadable_studies(storage),
        workers=workers,
    )


def study_state(study: Study) -> State:
    """Whether workers may start trials of a study, or it has all it asked for."""
    if study.paused:
        return "paused"
    return "finished" if study.is_finished else "open"


def is_served(study: Study) -> bool:
    """Whether a worker that serves a study is alive."""
    left = study.left_by
    return any(
        not worker.gone
        and (not worker.serves or study.name in worker.serves)
        and worker.identity.host not in left
        for worker in list_workers(study.storage)
    )


def _study_status(
    study: Study, sums: TrialSums, workers: Sequence[RegisteredWorker]
) -> StudyStatus:
    best, leader, *_ = judge(study)
    epochs = sum_epochs(study)
    return StudyStatus(
        name=study.name,
        state=study_state(study),
        trials=sums.by_name(),
        finished=sums.finished,
        budget=study.budget,
        epochs=epochs_done(study, epochs),
        retries=sums.retries,
        objective=study.objective.label,
        best=best.overall if best else None,
        leader=leader,
        hours=in_hours(sums.seconds),
        hours_unit=hours_unit(accelerated=sums.accelerated),
        time_left=time_left(study, epochs, sums.seconds, workers),
        may_end_earlier=may_end_earlier(study),
        left_by=study.left_by,
    )
