"""The stages of a trial and of a study, and every move from one to another.

``docs/stages.md`` lists them. No other module writes a trial's state or a study's switches.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Self

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import CTE, UpdateBase

from histsearch.database.trial_writing import write_attributes, write_state, write_value
from histsearch.studies import trial_record

PAUSED = "histsearch.paused"
ENDED = "histsearch.ended"


class TrialStage(StrEnum):
    """Where a trial is between its queue and its result."""

    QUEUED = "queued"
    """It waits for a worker: enqueued, given back or tried again."""

    PAUSED = "paused"
    """It waits until the sampler chooses to go on with it."""

    DUE = "due"
    """It waits to run to its end, which its study needs before it is finished."""

    RUNNING = "running"
    """A worker trains it, and may leave it after an epoch."""

    FINISHING = "finishing"
    """A worker trains it to its end."""

    COMPLETE = "complete"
    """It has its value."""

    PRUNED = "pruned"
    """It was given up."""

    FAILED = "failed"
    """It has no value, and a reason."""

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """The stage of a trial as it is stored."""
        attributes = trial.user_attrs
        return cls.at(
            trial.state,
            paused=bool(attributes.get(trial_record.PAUSED)),
            to_the_end=bool(attributes.get(trial_record.TO_THE_END)),
        )

    @classmethod
    def at(cls, state: TrialState, *, paused: bool, to_the_end: bool) -> Self:
        """The stage of a trial of this state, and with these attributes."""
        match state:
            case TrialState.COMPLETE:
                return cls.COMPLETE
            case TrialState.PRUNED:
                return cls.PRUNED
            case TrialState.FAIL:
                return cls.FAILED
            case TrialState.RUNNING:
                return cls.FINISHING if to_the_end else cls.RUNNING
        if to_the_end:
            return cls.DUE
        return cls.PAUSED if paused else cls.QUEUED


_QUEUED, _PAUSED, _DUE = TrialStage.QUEUED, TrialStage.PAUSED, TrialStage.DUE
_RUNNING, _FINISHING = TrialStage.RUNNING, TrialStage.FINISHING
_COMPLETE, _PRUNED, _FAILED = TrialStage.COMPLETE, TrialStage.PRUNED, TrialStage.FAILED

_OPTUNAS = {
    _QUEUED: TrialState.WAITING,
    _PAUSED: TrialState.WAITING,
    _DUE: TrialState.WAITING,
    _RUNNING: TrialState.RUNNING,
    _FINISHING: TrialState.RUNNING,
    _COMPLETE: TrialState.COMPLETE,
    _PRUNED: TrialState.PRUNED,
    _FAILED: TrialState.FAIL,
}


class TrialMove(Enum):
    """What moves a trial on: a sentence, and for each stage it may be in the one after."""

    START = "A worker claims it.", {_QUEUED: _RUNNING, _PAUSED: _RUNNING, _DUE: _FINISHING}
    GIVE_BACK = (
        "Its worker stops and gives it back, or has left it over.",
        {_RUNNING: _QUEUED, _FINISHING: _DUE},
    )
    RETRY = (
        "Its worker is lost, crashed, hung or short of something, and it is tried again.",
        {_RUNNING: _QUEUED, _FINISHING: _DUE},
    )
    PAUSE = (
        "Something else promises more, or its study is paused or has ended.",
        {_RUNNING: _PAUSED, _FINISHING: _DUE},
    )
    COMPLETE = "Its last epoch is trained.", {_RUNNING: _COMPLETE, _FINISHING: _COMPLETE}
    PRUNE = "The pruner gives it up, or it diverged.", {_RUNNING: _PRUNED, _FINISHING: _PRUNED}
    FAIL = (
        "It can't be trained, or its retries are used up.",
        {_RUNNING: _FAILED, _FINISHING: _FAILED},
    )
    SEE_THROUGH = (
        "The study has ended, and wants its result all the same.",
        {
            _QUEUED: _DUE,
            _PAUSED: _DUE,
            _DUE: _DUE,
            _RUNNING: _FINISHING,
            _FINISHING: _FINISHING,
        },
    )
    DROP = "The study has ended without it.", {_QUEUED: _PRUNED, _PAUSED: _PRUNED}
    REFUSE = "It was queued from outside, and can't be run.", {_QUEUED: _FAILED, _DUE: _FAILED}

    def __init__(self, sentence: str, steps: Mapping[TrialStage, TrialStage]) -> None:
        self.sentence = sentence
        self.steps = steps


class StudyStage(StrEnum):
    """Whether a study goes on; one whose budget is used up is open, and has nothing to start."""

    OPEN = "open"
    """Workers start its trials while there are any."""

    PAUSED = "paused"
    """Workers leave it alone."""

    ENDED = "ended"
    """Workers run what is due or queued, and begin nothing new."""

    PAUSED_AND_ENDED = "paused and ended"
    """Both: it has ended, and workers leave it alone."""

    @classmethod
    def of(cls, storage: BaseStorage, study_id: int) -> Self:
        """The stage of a study as it is stored."""
        attributes = storage.get_study_user_attrs(study_id)
        if attributes.get(ENDED) is None:
            return cls.PAUSED if attributes[PAUSED] else cls.OPEN
        return cls.PAUSED_AND_ENDED if attributes[PAUSED] else cls.ENDED


_OPEN, _HELD = StudyStage.OPEN, StudyStage.PAUSED
_ENDED, _HELD_AND_ENDED = StudyStage.ENDED, StudyStage.PAUSED_AND_ENDED


class StudyMove(Enum):
    """What moves a study on: a sentence, and for each stage it may be in the one after."""

    PAUSE = (
        "A person pauses it.",
        {_OPEN: _HELD, _HELD: _HELD, _ENDED: _HELD_AND_ENDED, _HELD_AND_ENDED: _HELD_AND_ENDED},
    )
    RESUME = (
        "A person resumes it.",
        {_OPEN: _OPEN, _HELD: _OPEN, _ENDED: _ENDED, _HELD_AND_ENDED: _ENDED},
    )
    END = (
        "Its hours are used, its winner is decided, or none of its trials may overtake it.",
        {_OPEN: _ENDED, _HELD: _HELD_AND_ENDED},
    )
    GO_ON = (
        "It has ended, but no trial that was begun can win.",
        {_ENDED: _OPEN, _HELD_AND_ENDED: _HELD},
    )
    CHANGE_LIMITS = (
        "A person changes its limits.",
        {_OPEN: _OPEN, _HELD: _HELD, _ENDED: _OPEN, _HELD_AND_ENDED: _HELD},
    )

    def __init__(self, sentence: str, steps: Mapping[StudyStage, StudyStage]) -> None:
        self.sentence = sentence
        self.steps = steps


class NoSuchMoveError(Exception):
    """A trial or a study isn't in a stage that this move begins at."""

    def __init__(self, move: TrialMove | StudyMove, stage: TrialStage | StudyStage) -> None:
        allowed = ", ".join(move.steps)
        super().__init__(f"found {stage} where {move.name} was to be, allowed: {allowed}")


def move_trial(
    storage: BaseStorage, trial_id: int, move: TrialMove, value: float | None = None
) -> None:
    """Move a trial on.

    Args:
        storage: Optuna's storage, in the transaction of the move.
        trial_id: The trial's key.
        move: The move.
        value: The value of a trial that is complete or pruned.

    Raises:
        NoSuchMoveError: The trial isn't where this move begins.
        UpdateFinishedTrialError: It has ended already.
    """
    trial = storage.get_trial(trial_id)
    storage.check_trial_is_updatable(trial_id, trial.state)
    before = TrialStage.of(trial)
    after = move.steps.get(before)
    if after is None:
        raise NoSuchMoveError(move, before)
    if after in (_DUE, _FINISHING) and before not in (_DUE, _FINISHING):
        storage.set_trial_user_attr(trial_id, trial_record.TO_THE_END, True)
    if move == TrialMove.PAUSE:
        storage.set_trial_user_attr(trial_id, trial_record.PAUSED, True)
    elif move in (TrialMove.START, TrialMove.DROP) and trial.user_attrs.get(trial_record.PAUSED):
        storage.set_trial_user_attr(trial_id, trial_record.PAUSED, False)
    _write_state(storage, trial, _OPTUNAS[after], value)


def moves_on(running: CTE, move: TrialMove, value: float | None = None) -> list[UpdateBase]:
    """SQL that moves trials on that run, as `move_trial` does.

    Args:
        running: Their keys.
        move: A move that begins where trials run.
        value: Their value, where they are complete or pruned.
    """
    changes: list[UpdateBase] = [write_state(running, _OPTUNAS[move.steps[_RUNNING]])]
    if value is not None:
        changes.append(write_value(running, value))
    if move == TrialMove.PAUSE:
        changes.append(write_attributes(running, {trial_record.PAUSED: True}))
    return changes


def _write_state(
    storage: BaseStorage, trial: FrozenTrial, state: TrialState, value: float | None
) -> None:
    if state == trial.state:
        return
    if trial.state == TrialState.WAITING and state.is_finished():
        storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)  # notes its start
    storage.set_trial_state_values(trial._trial_id, state, None if value is None else [value])


def move_study(
    storage: BaseStorage, study_id: int, move: StudyMove, reason: str | None = None
) -> None:
    """Move a study on.

    Args:
        storage: Optuna's storage.
        study_id: The study's key.
        move: The move.
        reason: Why it ends, where it does.

    Raises:
        NoSuchMoveError: The study isn't where this move begins.
    """
    before = StudyStage.of(storage, study_id)
    if before not in move.steps:
        raise NoSuchMoveError(move, before)
    if move in (StudyMove.PAUSE, StudyMove.RESUME):
        storage.set_study_user_attr(study_id, PAUSED, move == StudyMove.PAUSE)
    else:
        storage.set_study_user_attr(study_id, ENDED, reason)
