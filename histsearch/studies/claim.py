"""A worker's hold on a trial: what it may write, and how it lets go.

Every write is one statement that locks the attempt's row first, but for `Claim.retry`, which reads
between. An attempt that was ended by another worker, because this one was silent for too long,
can therefore change nothing any more, whatever its process still does; and a process that dies in
the middle of a write has written nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import CTE, ColumnElement, Update, UpdateBase, delete, func, select, update
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
from histsearch.studies.stages import NoSuchMoveError, TrialMove, moves_on
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

    def _held(self, condition: ColumnElement[bool]) -> CTE:
        """The trial, locked against being taken over, where it is the attempt's, on a condition."""
        return (
            select(TRIALS.c.trial_id)
            .join(attempts, attempts.c.trial_id == TRIALS.c.trial_id)
            .where(attempts.c.id == self.id, attempts.c.ended_at.is_(None), condition)
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
        steps, held = optuna_intermediate_values, self._held(is_unfinished())
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
        held = self._held(is_unfinished())
        changes = [write_attributes(held, attributes)] if attributes else []
        self._write(held, *changes, *([write_steps(held, values)] if values else []))

    # Those that end an attempt may be called again when the database didn't answer.

    def tell(
        self,
        state: TrialState,
        value: float | None = None,
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Finish the trial; a pruned one gets its last intermediate value, as in Optuna.

        Args:
            state: How it ended.
            value: The value of a complete one.
            attributes: Attributes to store with it.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        if state == TrialState.PRUNED:
            value = self._last_value()
        self._end(_RESULTS[state], Ending(state.name.lower()), attributes, value)

    def give_back(self) -> None:
        """Return the trial to the queue; the next claim starts it again, as it was.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        self._end(TrialMove.GIVE_BACK, Ending.GIVEN_BACK)

    def pause(self, attributes: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Return the trial to the queue, to be gone on with when the sampler chooses it.

        Args:
            attributes: Attributes to store with it.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        self._end(TrialMove.PAUSE, Ending.PAUSED, attributes)

    def _last_value(self) -> float | None:
        """What the trial reported last, which nobody else changes."""
        try:
            stored = self.study.storage.optuna.get_trial(self.trial._trial_id)
        except KeyError:  # its study was deleted
            raise ClaimLostError from None
        return stored.intermediate_values.get(stored.last_step or 0)

    def _end(
        self,
        move: TrialMove,
        ending: Ending,
        attributes: Mapping[str, Any] = MappingProxyType({}),
        value: float | None = None,
    ) -> None:
        held = self._held(TRIALS.c.state == TrialState.RUNNING)
        changes = moves_on(held, move, value)
        if attributes:
            changes.append(write_attributes(held, attributes))
        ended = _ended(self.id, ending).where(select(held.c.trial_id).exists())
        try:
            self._write(held, *changes, ended)
        except ClaimLostError:
            if not self._has_ended(ending):
                raise

    def _has_ended(self, ending: Ending) -> bool:
        """Whether it ended so already: the answer to an earlier telling was lost."""
        query = select(attempts.c.id).where(
            attempts.c.id == self.id,
            attempts.c.ended_at.is_not(None),
            attempts.c.ending == ending.value,
        )
        with self.study.storage.singly() as connection:
            return connection.scalar(query) is not None

    def retry(self, ending: Ending, reason: str) -> TrialState:
        """Return the trial to the queue after a failure of its run, or fail it if it is its own.

        Returns:
            Its new state, `TrialState.WAITING` or `TrialState.FAIL`.

        Raises:
            ClaimLostError: The trial isn't this attempt's any more.
        """
        with self.study.storage.begin() as connection:
            # Nobody can take the trial over meanwhile.
            open_one = select(attempts.c.id).where(
                attempts.c.id == self.id, attempts.c.ended_at.is_(None)
            )
            if connection.scalar(open_one.with_for_update()) is not None:
                end_attempt(connection, self.id, ending, reason)
                try:
                    return requeue(connection, self.study, self.trial._trial_id)
                except (UpdateFinishedTrialError, NoSuchMoveError):
                    raise ClaimLostError from None
        if not self._has_ended(ending):
            raise ClaimLostError
        return self.study.storage.optuna.get_trial(self.trial._trial_id).state


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
    return connection.execute(_ended(attempt_id, ending, reason)).rowcount > 0


def _ended(attempt_id: int, ending: Ending, reason: str | None = None) -> Update:
    return (
        update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.ended_at.is_(None))
        .values(
            ended_at=func.clock_timestamp(),
            ending=ending.value,
            reason=None if reason is None else _storable(reason),
        )
    )


def _storable(text: str) -> str:
    """A text without what PostgreSQL can't store, which an exception's message may hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
