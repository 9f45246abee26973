"""What a report is of: a search, its retrainings, and what was gathered of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.reports.report import Report
from histsearch.studies.study import Study

MARK = "†"
"""Stands beside each figure of a search that selected on the test classes."""

LEGEND = (
    f"{MARK} Selected on the test classes, as the paper did: not a fair estimate of performance on "
    "new classes."
)


@dataclass(frozen=True)
class Reported:
    """A search as a document shows it.

    Attributes:
        study: The search.
        retrainings: Its retrainings.
        report: What they found.
    """

    study: Study
    retrainings: Sequence[Study]
    report: Report

    @property
    def name(self) -> str:
        """The search's name."""
        return self.report.study

    @property
    def mark(self) -> str:
        """`MARK` where it selected on the test classes, else nothing."""
        return MARK if self.report.on_test_classes else ""


def judged_on(one: Reported) -> str:
    """What the scores of a search are of: a sentence for its figures."""
    which = "test" if one.report.on_test_classes else "validation"
    images = one.report.images
    if images is None:
        return f"Scores are of {which} images{one.mark}."
    part = images.judge
    counts = f"{part.images:,} {which} images{one.mark} in {part.classes:,} classes"
    note = f"Scores are of {counts}{images.remark_on(part)}."
    return f"{note} {LEGEND}" if one.mark else note


def tested_on(one: Reported) -> str:
    """What the test figures of a search's retrainings are of: a sentence."""
    images = one.report.images
    counts = "the test images" if images is None else f"{images.test}"
    return f"{one.name}: {counts}."


def legend(searches: Sequence[Reported]) -> list[str]:
    """The note that a table of these searches needs for its marks; none without one."""
    return [LEGEND] if any(one.mark for one in searches) else []
