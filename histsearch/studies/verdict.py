"""Whether a trial is tried again after an attempt at it failed, or has failed for good.

What a machine lacks is no fault of the configuration. A configuration counts as failing when it
failed on two machines, or on a worker that trains others of its study well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.engine import Connection

from histsearch.database.tables import attempts, optuna_trials, workers
from histsearch.studies import trial_record
from histsearch.studies.attempt_endings import FAILED, RETRIED, Ending
from histsearch.studies.deferral import is_at_work_elsewhere
from histsearch.studies.stages import TrialMove, move_trial
from histsearch.studies.study import Study
from histsearch.wording import counted

# A trial may lose so many processes before an epoch, beside its retries, whoever is to blame.
_MOST_EARLY_DEATHS = 9

# A configuration that needs no more than another that was trained on the worker gets so many tries.
_MOST_TRIES = 3

_SIZES = ("batch_size", "embedding_size", "image_size")
"""Parameters that memory grows with."""


@dataclass(frozen=True)
class _Failure:
    """A failed attempt at a trial, and the worker that it failed on."""

    ending: Ending
    reason: str | None
    worker_id: int
    worker: str
    host: str
    gpu: str | None
    slots: int

    def __str__(self) -> str:
        return f"{self.ending} on {self.worker}: {self.reason}"


def requeue(connection: Connection, study: Study, trial_id: int) -> TrialState:
    """Queue a trial whose last attempt failed once more, or fail it.

    Returns:
        Its new state, `TrialState.WAITING` or `TrialState.FAIL`.
    """
    failures = _failures(connection, trial_id)
    storage = study.storage.optuna_within(connection)
    storage.set_trial_user_attr(trial_id, trial_record.RETRIES, [str(one) for one in failures])
    reason = _Judgement(connection, study, storage.get_trial(trial_id), failures).final_reason()
    if reason is not None:
        storage.set_trial_user_attr(trial_id, trial_record.REASON, reason)
    move_trial(storage, trial_id, TrialMove.RETRY if reason is None else TrialMove.FAIL)
    return TrialState.WAITING if reason is None else TrialState.FAIL


def _failures(connection: Connection, trial_id: int) -> list[_Failure]:
    """The failed attempts at a trial, in order."""
    rows = connection.execute(
        select(
            attempts.c.ending,
            attempts.c.reason,
            workers.c.id,
            workers.c.name,
            workers.c.host,
            workers.c.gpu,
            workers.c.slots,
        )
        .join(workers, workers.c.id == attempts.c.worker_id)
        .where(attempts.c.trial_id == trial_id, attempts.c.ending.in_(FAILED))
        .order_by(attempts.c.number)
    )
    return [_Failure(Ending(ending), *rest) for ending, *rest in rows]


@dataclass(frozen=True)
class _Judgement:
    """Of a trial whose last attempt has just failed."""

    connection: Connection
    study: Study
    trial: FrozenTrial
    failures: Sequence[_Failure]

    def final_reason(self) -> str | None:
        """Why the trial has failed for good; None if it is tried again."""
        return self._hung() or self._lacking() or self._retries_used_up()

    def _hung(self) -> str | None:
        """It hung in two processes: a third would hang too."""
        stalls = [one for one in self.failures if one.ending == Ending.STALLED]
        processes = {one.worker_id for one in stalls}
        if len(processes) < 2:
            return None
        return f"it hung on {len(processes)} workers, at last on {stalls[-1].worker}: " + (
            stalls[-1].reason or ""
        )

    def _lacking(self) -> str | None:
        last = self.failures[-1]
        if last.ending != Ending.LACK:
            return None
        lacks = [one for one in self.failures if one.ending == Ending.LACK]
        hosts = {one.host for one in lacks}
        if len(hosts) > 1:
            return f"{last.reason}; the same on {len(hosts)} machines"
        tries = sum(one.worker_id == last.worker_id for one in lacks)
        return last.reason if self._is_its_own(last, tries) else None

    def _is_its_own(self, lack: _Failure, tries: int) -> bool:
        """Whether a lack that a worker met so many times is the configuration's."""
        trained = self._others_trained_by(workers.c.id == lack.worker_id)
        if not trained:
            return False
        if tries == 1 and is_at_work_elsewhere(self.connection, self.study.id, lack.worker_id):
            return False  # another may have what it takes
        if lack.slots > 1 and tries < _MOST_TRIES:
            return False  # what it takes may have been another slot's
        mine = self._sizes(self.trial)
        fits = any(
            all(a <= b for a, b in zip(mine, self._sizes(one), strict=True)) for one in trained
        )
        return not fits or tries >= _MOST_TRIES

    def _retries_used_up(self) -> str | None:
        early = [one for one in self.failures if one.ending == Ending.LOST_EARLY]
        blamed = [
            one
            for one in self.failures
            if one.ending in RETRIED or (one in early and self._may_be_blamed(one, early))
        ]
        most = self.study.definition.space.max_retries
        if len(blamed) > most:
            times = counted(len(blamed), "time")
            return f"failed {times} (max_retries = {most}), at last: {blamed[-1]}"
        if len(early) > _MOST_EARLY_DEATHS + most:
            return f"its process died {len(early)} times before an epoch, at last: {early[-1]}"
        return None

    def _may_be_blamed(self, death: _Failure, early: Sequence[_Failure]) -> bool:
        """Whether an early death is the trial's: others run there, or it died elsewhere too."""
        if any(one.host != death.host for one in early):
            return True
        place = and_(workers.c.host == death.host, workers.c.gpu.is_not_distinct_from(death.gpu))
        return bool(self._others_trained_by(place))

    def _others_trained_by(self, whose: ColumnElement[bool]) -> list[FrozenTrial]:
        """Trials of other configurations that some workers trained for an epoch or more."""
        query = (
            select(attempts.c.trial_id, attempts.c.number, attempts.c.resumed_after)
            .join(workers, workers.c.id == attempts.c.worker_id)
            .join(optuna_trials, optuna_trials.c.trial_id == attempts.c.trial_id)
            .where(
                whose,
                optuna_trials.c.study_id == self.study.id,
                attempts.c.resumed_after.is_not(None),
            )
        )
        rows = self.connection.execute(query).all()
        if not rows:
            return []
        trials = self.study.storage.keeping_within(self.connection).trials(self.study.id)
        return [
            trials[row.trial_id]
            for row in rows
            if self._configuration(trials[row.trial_id]) != self._configuration(self.trial)
            and self._reached(trials[row.trial_id], row.number) > row.resumed_after
        ]

    def _reached(self, trial: FrozenTrial, number: int) -> int:
        """Epochs of a trial that were trained when an attempt at it ended."""
        later = select(attempts.c.resumed_after).where(
            attempts.c.trial_id == trial._trial_id,
            attempts.c.number > number,
            attempts.c.resumed_after.is_not(None),
        )
        resumed_after = self.connection.scalar(later.order_by(attempts.c.number).limit(1))
        if resumed_after is not None:
            return int(resumed_after)
        return len(trial.user_attrs.get(trial_record.EPOCH_SECONDS, ()))

    def _configuration(self, trial: FrozenTrial) -> dict[str, object]:
        """Its configuration; a retraining's seed isn't one."""
        names = self.study.definition.space.search
        return {name: trial.params[name] for name in names if name in trial.params}

    def _sizes(self, trial: FrozenTrial) -> list[float]:
        space = self.study.definition.space
        values = space.complete({name: trial.params[name] for name in space.search}).values()
        names = (*_SIZES, *space.loss.sizes)
        # The backbone's own size of images is that of all trials.
        return [float(values.get(name, 0)) for name in names]
