"""A worker's hold on a trial: what it may write, and how it lets go.

Every write is one transaction that locks the attempt's row first; those that don't end it are one
statement. An attempt that was ended by another worker, because this one was silent for too long,
can therefore change nothing any more, whatever its process still does; and a process that dies in
the middle of a write has written nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import CTE, UpdateBase, delete, func, select, update
from sqlalchemy.engine import Connection

from histsearch.database.tables import attempts, optuna_intermediate_values
from histsearch.database.trial_writing import (
    TRIALS,
    is_unfinished,
    write_attributes,
    write_steps,
)
from histsearch.search.freeze_thaw_trials import fold_of
from histsearch.space.configuration import Value
from histsearch.studies.attempt_endings import Ending
from histsearch.studies.stages import NoSuchMoveError, TrialMove, move_trial
from histsearch.studies.study import Study
from histsearch.studies.verdict import requeue

_RESULTS = {
    TrialState.COMPLETE: TrialMove.COMPLETE,
    TrialState.PRUNED: TrialMove.PRUNE,
    TrialState.FAIL: TrialMove.FAIL,
}


class ClaimLostError(Exception):
    """The trial went to another worker meanwhile, or was finished or deleted by someone else."""


@dataclass(frozen=True)
class Claim:
    """One attempt at a trial, held by one worker.

    Attributes:
        study: The trial's study.
        trial: The trial as it was when claimed, all parameters set.
        attempt: 1 for the first attempt at it, then counting.
        id: The attempt's key in the database.
    """

    study: Study
    trial: FrozenTrial
    attempt: int
    id: int

    @property
    def label(self) -> str:
        """The trial's name in logs."""
        return f"{self.study.name} #{self.trial.number}"

    @property
    def seed(self) -> int:
        """The seed of everything random in the trial, fixed by the study."""
        return self.study.definition.seed_of(self.trial)

    @property
    def configuration(self) -> dict[str, Value]:
        """The trial's searched parameters; a retraining's seed is none."""
        return {name: self.trial.params[name] for name in self.study.definition.space.search}

    @property
    def fold(self) -> int:
        """The fold that the trial validates on, from 0 on; 0 where its study has one."""
        return fold_of(self.trial, self.study.definition.folds) or 0

    @contextmanager
    def _ending(self, ending: Ending) -> Iterator[Connection | None]:
        """A transaction to end the attempt in, during which nobody can take the trial over.

        None where it ended so already: the answer to an earlier telling was lost.

        Raises:
            ClaimLostError: Somebody has taken it over already.
        """
        with self.study.storage.begin() as connection:
            query = select(attempts.c.ended_at, attempts.c.ending).where(attempts.c.id == self.id)
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is not None and row.ended_at is not None and row.ending == ending:
                yield None
                return
            if row is None or row.ended_at is not None:
                raise ClaimLostError
            try:
                yield connection
            except (UpdateFinishedTrialError, NoSuchMoveError):
                raise ClaimLostError from None

    def _held(self) -> CTE:
        """The trial, locked against being taken over, where it is the attempt's and unfinished."""
        return (
            select(TRIALS.c.trial_id)
            .join(attempts, attempts.c.trial_id == TRIALS.c.trial_id)
            .where(attempts.c.id == self.id, attempts.c.ended_at.is_(None), is_unfinished())
            .with_for_update(of=attempts)
            .cte("held")
        )

    def _write(self, held: CTE, *changes: UpdateBase) -> None:
        """Change what belongs to the trial held, in one statement.

        Raises:
            ClaimLostError: It isn't this attempt's any more.
        """
        statement = select(held.c.trial_id).add_cte(*(change.cte() for change in changes))
        with self.study.storage.singly() as connection:
            if connection.execute(statement).one_or_none() is None:
                raise ClaimLostError

    def start(self, resumed_after: int) -> None:
        """Note which epoch the attempt goes on from, and forget what was reported beyond it.

        Optuna has no call for the latter, and would take the last of the values for that of a
        pruned trial.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        steps, held = optuna_intermediate_values, self._held()
        self._write(
            held,
            delete(steps).where(
                steps.c.trial_id.in_(select(held.c.trial_id)), steps.c.step > resumed_after
            ),
            update(attempts)
            .where(attempts.c.id == self.id, select(held.c.trial_id).exists())
            .values(resumed_after=resumed_after),
        )

    def record(
        self, attributes: Mapping[str, Any], values: Mapping[int, float] | None = None
    ) -> None:
        """Store attributes of the trial, and intermediate values by step.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        held = self._held()
        changes = [write_attributes(held, attributes)] if attributes else []
        self._write(held, *changes, *([write_steps(held, values)] if values else []))

    # The three that end an attempt may be called again when the database didn't answer.

    def tell(self, state: TrialState, value: float | None = None) -> None:
        """Finish the trial; a pruned one gets its last intermediate value, as in Optuna.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        ending = Ending(state.name.lower())
        with self._ending(ending) as connection:
            if connection is None:
                return
            storage = self.study.storage.optuna_within(connection)
            if state == TrialState.PRUNED:
                stored = storage.get_trial(self.trial._trial_id)
                value = stored.intermediate_values.get(stored.last_step or 0)
            move_trial(storage, self.trial._trial_id, _RESULTS[state], value)
            end_attempt(connection, self.id, ending)

    def give_back(self) -> None:
        """Return the trial to the queue; the next claim starts it again, as it was.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        self._return_to_queue(TrialMove.GIVE_BACK, Ending.GIVEN_BACK)

    def pause(self) -> None:
        """Return the trial to the queue, to be gone on with when the sampler chooses it.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        self._return_to_queue(TrialMove.PAUSE, Ending.PAUSED)

    def _return_to_queue(self, move: TrialMove, ending: Ending) -> None:
        with self._ending(ending) as connection:
            if connection is None:
                return
            move_trial(self.study.storage.optuna_within(connection), self.trial._trial_id, move)
            end_attempt(connection, self.id, ending)

    def retry(self, ending: Ending, reason: str) -> TrialState:
        """Return the trial to the queue after a failure of its run, or fail it if it is its own.

        Returns:
            Its new state, `TrialState.WAITING` or `TrialState.FAIL`.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        with self._ending(ending) as connection:
            if connection is None:
                return self.study.storage.optuna.get_trial(self.trial._trial_id).state
            end_attempt(connection, self.id, ending, reason)
            return requeue(connection, self.study, self.trial._trial_id)


def last_attempt(connection: Connection, study: Study, trial: FrozenTrial) -> Claim | None:
    """The last attempt at a trial, if there was one."""
    query = (
        select(attempts.c.number, attempts.c.id)
        .where(attempts.c.trial_id == trial._trial_id)
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Claim(study, trial, row.number, row.id)


def end_attempt(
    connection: Connection, attempt_id: int, ending: Ending, reason: str | None = None
) -> bool:
    """End an attempt; False if it had ended already."""
    ended = connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.ended_at.is_(None))
        .values(
            ended_at=func.clock_timestamp(),
            ending=ending.value,
            reason=None if reason is None else _storable(reason),
        )
    )
    return ended.rowcount > 0


def _storable(text: str) -> str:
    """A text without what PostgreSQL can't store, which an exception's message may hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
