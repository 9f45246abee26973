"""What a process keeps of the studies it has read, so that it reads again only what changed."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text
from sqlalchemy.engine import Connection

from histsearch.database.changes import Look, Moment, look
from histsearch.database.json_values import number
from histsearch.database.trial_reading import read_study_trials

_COUNTS = text("SELECT state, count(*) FROM trials WHERE study_id = :study_id GROUP BY state")
_SUM = text(
    f"SELECT coalesce(sum({number('value_json')}), 0) FROM trials "  # noqa: S608
    "JOIN trial_user_attributes USING (trial_id) WHERE study_id = :study_id AND key = :key"
)


class Part(Enum):
    """A part of a study that can be read beside its attributes."""

    COUNTS = auto()
    TRIALS = auto()


@dataclass(frozen=True)
class KeptStudy:
    """A study as it was at one moment.

    Nobody changes what is kept; whoever reads more makes another.

    Attributes:
        moment: When.
        attributes: Its user attributes.
        counts: Number of its trials by state, where it was asked for.
        trials: Its trials by key, from the smallest on, where they were asked for.
        waiting: Those of them that wait, in any order: every claim and verdict asks for them.
    """

    moment: Moment
    attributes: Mapping[str, Any]
    counts: Mapping[TrialState, int] | None = None
    trials: Mapping[int, FrozenTrial] | None = None
    waiting: Mapping[int, FrozenTrial] = field(default_factory=dict)

    def has(self, part: Part | None) -> bool:
        """Whether a part of it is read."""
        match part:
            case None:
                return True
            case Part.COUNTS:
                return self.counts is not None
            case Part.TRIALS:
                return self.trials is not None


@dataclass
class KeptStudies:
    """The studies that a process keeps; its threads share them."""

    _studies: dict[int, KeptStudy] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def get(self, study_id: int) -> KeptStudy | None:
        """A study as it was last read."""
        return self._studies.get(study_id)

    def put(self, study_id: int, before: KeptStudy | None, after: KeptStudy) -> None:
        """Keep a study, unless another thread has since ``before`` was got."""
        with self._changing:
            if self._studies.get(study_id) is before:
                self._studies[study_id] = after

    def forget(self, study_id: int) -> None:
        """Keep a study no longer."""
        with self._changing:
            self._studies.pop(study_id, None)


def at_present(
    connection: Connection, study_id: int, before: KeptStudy | None
) -> tuple[KeptStudy, bool]:
    """A study that was read before as it is now, and whether others may know of it.

    They may not where the transaction has written: it sees its own changes, which may come to
    nothing.

    Raises:
        KeyError: It doesn't exist, or no longer.
    """
    since = None if before is None else before.moment
    with_trials = before is not None and before.trials is not None
    seen = look(connection, study_id, since, with_trials=with_trials)
    return _later(before, seen), not seen.has_written


def _later(before: KeptStudy | None, seen: Look) -> KeptStudy:
    if before is None or seen.changed is None:
        assert seen.attributes is not None
        return KeptStudy(seen.moment, seen.attributes)
    kept = replace(before, moment=seen.moment)
    if seen.attributes is not None:
        kept = replace(kept, attributes=seen.attributes)
    if not seen.changed:
        return kept
    if kept.trials is None:
        return replace(kept, counts=None)
    now = _by_key(seen.trials)
    return _with_trials(kept, {key: now.get(key) for key in sorted(seen.changed)})


def with_part(
    connection: Connection, study_id: int, kept: KeptStudy, part: Part | None
) -> KeptStudy:
    """The same with one part more, where it hasn't that already."""
    if kept.has(part):
        return kept
    if part == Part.TRIALS:
        trials = _by_key(read_study_trials(connection, study_id))
        counts = Counter(trial.state for trial in trials.values())
        waiting = {key: trial for key, trial in trials.items() if _waits(trial)}
        return replace(kept, trials=trials, counts=counts, waiting=waiting)
    numbers = connection.execute(_COUNTS, {"study_id": study_id})
    return replace(kept, counts={TrialState[state]: number for state, number in numbers})


def with_trial(kept: KeptStudy, trial: FrozenTrial) -> KeptStudy:
    """The same with a trial as it has become, or that has come to be; its trials are read."""
    return _with_trials(kept, {trial._trial_id: trial})


def _with_trials(kept: KeptStudy, changed: Mapping[int, FrozenTrial | None]) -> KeptStudy:
    """The same with its trials as they are; those that haven't changed are the same objects.

    Args:
        kept: The study, its trials read.
        changed: What became of others, by key from the smallest on; None where they are gone.
    """
    assert kept.trials is not None
    assert kept.counts is not None
    trials, counts, waiting = dict(kept.trials), Counter(kept.counts), dict(kept.waiting)
    last = next(reversed(trials), 0)
    for key, after in changed.items():
        before = trials.get(key)
        waiting.pop(key, None)
        if before is not None:
            counts[before.state] -= 1
        if after is None:
            trials.pop(key, None)
            continue
        counts[after.state] += 1
        trials[key] = after
        if _waits(after):
            waiting[key] = after
    if any(key < last and key not in kept.trials for key in changed):  # it was stored late
        trials = {key: trials[key] for key in sorted(trials)}
    return replace(kept, trials=trials, counts=counts, waiting=waiting)


def _waits(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING


def _by_key(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    return {trial._trial_id: trial for trial in sorted(trials, key=lambda one: one._trial_id)}


def sum_of_attribute(connection: Connection, study_id: int, key: str) -> float:
    """The sum of a number that trials of a study carry as an attribute."""
    return float(connection.execute(_SUM, {"study_id": study_id, "key": key}).scalar_one())
