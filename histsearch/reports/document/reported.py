"""What a report is of: a search, its retrainings, and what was gathered of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from histsearch.data.census import Part
from histsearch.reports.document.tables import Cell
from histsearch.reports.report import Report
from histsearch.studies.study import Study
from histsearch.wording import counted

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


def selected_on(on_test_classes: bool) -> str:
    """Which classes a search selected on, as the tables' files say in place of `MARK`."""
    return "test classes" if on_test_classes else "validation classes"


def part_text(part: Part) -> str:
    """How many images and classes a part has: "900 validation images in 30 classes"."""
    counts = f"{counted(part.images, f'{part.name} image')} in {counted(part.classes, 'class')}"
    against = "" if part.gallery is None else f", ranked against {part.gallery:,} of a gallery"
    return counts + against


def of_search(one: Reported, label: str, searches: Sequence[Reported]) -> Cell:
    """A configuration of a search in a table: with the search's name where there are several.

    Args:
        one: The search.
        label: The configuration's.
        searches: All of the report.
    """
    text = label if len(searches) == 1 else f"{one.name}: {label}"
    return Cell(text + one.mark, (one.name, label))


def judged_on(one: Reported) -> str:
    """What the scores of a search are of, and the legend of its marks: below its figures."""
    which = "test" if one.report.on_test_classes else "validation"
    images = one.report.images
    part = f"{which} images"
    if images is not None:
        part = f"{part_text(images.judge)}{images.remark_on(images.judge)}"
    return " ".join([f"Scores are of {part}{one.mark}.", *legend([one])])


def tested_on(one: Reported) -> str:
    """What the test figures of a search's retrainings are of: a sentence."""
    images = one.report.images
    return f"{one.name}: {'the test images' if images is None else part_text(images.test)}."


def legend(searches: Sequence[Reported]) -> list[str]:
    """The note that a table of these searches needs for its marks; none without one."""
    return [LEGEND] if any(one.mark for one in searches) else []
