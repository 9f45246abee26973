"""How many epochs of a study are trained, of those that are expected."""

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.reports.time_left import work_left
from histsearch.studies.epoch_sums import EpochSum
from histsearch.studies.study import Study


@dataclass(frozen=True)
class EpochsDone:
    """The epochs of all trials of a study together.

    Attributes:
        trained: Those that are trained.
        expected: Those that probably are in the end, these included.
        at_most: Those that are if all trials that may begin run in full.
    """

    trained: int
    expected: int
    at_most: int

    def __str__(self) -> str:
        if self.trained == self.at_most:
            return f"{self.trained:,} trained"
        most = "" if self.expected == self.at_most else f", {self.at_most:,} at most"
        return f"{self.trained:,} of {self.expected:,} expected{most}"


def epochs_done(study: Study, sums: Sequence[EpochSum]) -> EpochsDone:
    """The epochs of a study that are trained, and those that are expected.

    Args:
        study: The study.
        sums: Its epochs.
    """
    trained = sum(one.trained for one in sums)
    if study.is_finished:
        return EpochsDone(trained, trained, trained)
    left = work_left(study, sums)
    return EpochsDone(trained, trained + round(left.probable), trained + round(left.at_most))


def may_end_earlier(study: Study) -> bool:
    """Whether a search may be decided before its trials are trained."""
    return study.limits.decided is not None and study.ended is None
