"""How long a study will still take, by the epochs that its trials have trained so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from optuna.trial import TrialState

from histsearch.reports.trained_share import trained_share
from histsearch.studies.definition import SearchDefinition
from histsearch.studies.epoch_sums import EpochSum
from histsearch.studies.hours import in_seconds
from histsearch.studies.study import Study
from histsearch.wording import counted, duration_text
from histsearch.workers.registry import IDLE, RegisteredWorker


@dataclass(frozen=True)
class TimeLeft:
    """How long a study will still take.

    Attributes:
        at_most_seconds: Until all trials that it may begin have run in full, or those that have
            begun when its hours are used.
        probable_seconds: The same for what is probably trained.
        workers: Number of workers that share the work.
    """

    at_most_seconds: float
    probable_seconds: float
    workers: int

    def __str__(self) -> str:
        at_most, probable = map(duration_text, (self.at_most_seconds, self.probable_seconds))
        times = at_most if at_most == probable else f"{at_most} at most, {probable} probably"
        return f"about {times}, with {counted(self.workers, 'worker')}"


class WorkLeft(NamedTuple):
    """Training that a study has left.

    Attributes:
        at_most: Epochs at most.
        probable: Epochs that are probably trained.
        longest: The most that one trial has left, which no two workers share.
        beginnings: Trials that have yet to train their warm-up.
    """

    at_most: float
    probable: float
    longest: float
    beginnings: int


def time_left(
    study: Study,
    sums: Sequence[EpochSum],
    charged_seconds: float,
    workers: Sequence[RegisteredWorker],
) -> TimeLeft | None:
    """How long a study will still take with the workers that it has at the moment.

    Args:
        study: The study.
        sums: Its epochs.
        charged_seconds: What its trials have taken, as its limit counts it.
        workers: All workers.

    Returns:
        The time; None of a study that is paused or finished, while it has no worker, and before
        any has trained an epoch.
    """
    sharing = _sharing(study, workers)
    if not sharing or study.paused or study.is_finished:
        return None
    trained, seconds = sum(one.trained for one in sums), sum(one.seconds for one in sums)
    if not trained:
        return None
    warmup_seconds = sum(one.warmup_seconds for one in sums)
    left = work_left(study, sums)
    until_limit = _seconds_to_limit(study, charged_seconds, seconds + warmup_seconds)
    number, devices = len(sharing), sum(one.identity.share for one in sharing)
    warmup = warmup_seconds / sum(one.begun for one in sums)

    def passing(epochs: float, beginnings: int) -> float:
        return epochs * seconds / trained + beginnings * warmup

    # The trial that uses up the hours runs on.
    last = until_limit + passing(left.longest, min(1, left.beginnings))
    most = max(last, passing(*certain_epochs(study, sums)))

    def shared(epochs: float) -> float:
        # No schedule without idle workers takes longer (Graham, 1966).
        alone = min(most, passing(epochs, left.beginnings))
        return (alone + (number - 1) * passing(left.longest, 0)) / devices

    return TimeLeft(shared(left.at_most), shared(left.probable), number)


def _sharing(study: Study, workers: Sequence[RegisteredWorker]) -> list[RegisteredWorker]:
    """The workers that train a study's trials, or are about to claim one."""
    alive = [one for one in workers if not one.gone]
    training = [one for one in alive if one.activity.study == study.name]
    if len(training) == len(alive) or not study.is_open:
        return training
    left_by = study.left_by
    return training + [
        one
        for one in alive
        if one.activity.word == IDLE
        and (not one.serves or study.name in one.serves)
        and one.identity.host not in left_by
    ]


def work_left(study: Study, sums: Sequence[EpochSum]) -> WorkLeft:
    """What a study that isn't finished has left to train, were its hours to last if any are left.

    Args:
        study: The study.
        sums: The sums over its trials.
    """
    unfinished = [one for one in sums if not one.state.is_finished()]
    if study.ended is not None and study.pauses:  # its paused trials are pruned
        unfinished = [one for one in unfinished if one.to_the_end or _runs(one)]
    full = study.definition.space.epochs
    may_start = study.may_start and not study.is_due
    new = max(0, study.budget - sum(one.trials for one in sums)) if may_start else 0
    left = WorkLeft(
        at_most=new * full + sum(one.remaining for one in unfinished),
        probable=0.0,
        longest=max([one.longest for one in unfinished] + [full] * (new > 0), default=0),
        beginnings=new + sum(one.trials - one.begun for one in unfinished),
    )
    return left._replace(probable=_probable_epochs(study, sums, left))


def certain_epochs(study: Study, sums: Sequence[EpochSum]) -> tuple[int, int]:
    """Epochs that no limit of hours keeps from being trained, and how many trials begin with them.

    They are those of trials that run or were enqueued; of paused ones, those of one trial, should
    it be the winner's.

    Args:
        study: The study.
        sums: The sums over its trials.
    """
    unfinished = [one for one in sums if not one.state.is_finished()]
    paused = [one for one in unfinished if study.pauses and not (one.to_the_end or _runs(one))]
    full = study.definition.space.epochs
    certain = sum(one.remaining for one in unfinished if one not in paused)
    certain += sum((one.trials - one.begun) * full for one in paused)
    certain += max((one.longest for one in paused if one.begun), default=0)
    return certain, sum(one.trials - one.begun for one in unfinished)


def _probable_epochs(study: Study, sums: Sequence[EpochSum], left: WorkLeft) -> float:
    definition = study.definition
    if not isinstance(definition, SearchDefinition):
        return left.at_most
    full, share = definition.space.epochs, trained_share(definition.space, study.budget)
    if not study.pauses:
        return left.at_most - (1.0 - share) * full * left.beginnings
    needed = left.beginnings * definition.fewest_epochs
    needed += sum(one.remaining for one in sums if one.to_the_end and not one.state.is_finished())
    needed += sum(one.trials for one in sums if _runs(one) and not one.to_the_end)
    expected = share * study.budget * full - sum(one.trained for one in sums)
    return min(left.at_most, needed if study.ended else max(needed, expected))


def _runs(one: EpochSum) -> bool:
    return one.state == TrialState.RUNNING


def _seconds_to_limit(study: Study, charged: float, passed: float) -> float:
    """Seconds of one worker until a study's hours are used.

    Args:
        study: The study.
        charged: Seconds that it was charged for.
        passed: Seconds that its workers trained for; more where several share a device.
    """
    hours = study.limits.gpu_hours
    if hours is None or study.ended is not None or not charged:
        return math.inf
    return max(0.0, in_seconds(hours) - charged) * max(1.0, passed / charged)
