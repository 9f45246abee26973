"""What a claims' report was made of: studies, images, hours, versions, and what is missing."""

import shlex
from collections.abc import Iterator, Sequence

from histsearch.reports.claims.claims_report import ClaimsReport, MissingGrid
from histsearch.reports.claims.grid_study import GridStudy
from histsearch.reports.claims.grid_tables import runs_table
from histsearch.reports.document.background_section import provenance_lines
from histsearch.reports.document.sections import (
    Bullets,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)
from histsearch.reports.document.tables import (
    Cell,
    Table,
    hours_cell,
    number_cell,
    number_column,
    text_cell,
    text_column,
)
from histsearch.studies.images import known_census
from histsearch.wording import counted

_ON_TEST_CLASSES = (
    "A score is the highest of a run's epochs on the test classes, as in the paper: no fair "
    "estimate of performance on new classes."
)


def runs_section(report: ClaimsReport) -> Section:
    """The studies with their runs, what these were made with, and what is missing."""
    grids = report.studies
    missing = [one for one in report.grids.values() if isinstance(one, MissingGrid)]
    parts: list[Part] = [Missing(one.file.stem, one.reason) for one in missing]
    if grids:
        parts = [
            Paragraph(_done(grids)),
            ShownTable(_table(grids)),
            *parts,
            *_lacking(report, grids),
            *_made_with(grids),
            ShownTable(runs_table(grids)),
            Paragraph(_ON_TEST_CLASSES, is_warning=True),
        ]
    return Section("runs", "What was run", parts)


def _done(grids: Sequence[GridStudy]) -> str:
    done = sum(len(one.scores.runs) for one in grids)
    expected = sum(one.scores.expected for one in grids)
    hours: dict[str, float] = {}
    for one in grids:
        hours[one.cost.unit] = hours.get(one.cost.unit, 0.0) + one.cost.hours_spent
    spent = " and ".join(f"{number:.3g} {unit}" for unit, number in hours.items())
    return f"{done:,} of {counted(expected, 'run')} are complete; they took {spent}."


def _table(grids: Sequence[GridStudy]) -> Table:
    return Table(
        name="studies",
        caption="The studies and their runs, each grid point once a seed.",
        columns=[
            *map(text_column, ("study", "data set", "backbone")),
            *map(number_column, ("epochs", "grid points", "seeds")),
            *map(number_column, ("complete", "expected", "failed", "hours")),
        ],
        rows=[_row(one) for one in grids],
    )


def _row(one: GridStudy) -> list[Cell]:
    scores = one.scores
    return [
        *map(text_cell, (one.name, one.space.dataset, one.space.backbone)),
        *map(
            number_cell,
            (
                one.space.epochs,
                len(scores.points),
                scores.seeds,
                len(scores.runs),
                scores.expected,
                len(scores.failures),
            ),
        ),
        hours_cell(one.cost.hours_spent),
    ]


def _lacking(report: ClaimsReport, grids: Sequence[GridStudy]) -> Iterator[Part]:
    for one in grids:
        if one.scores.short:
            yield Missing(f"Runs of {one.name}", _missing_runs(one, report.folder.name))
            yield Bullets(one.scores.short)
    failures = [failure for one in grids for failure in one.scores.failures]
    if failures:
        yield Paragraph("Failed runs, whose scores no average has:", is_warning=True)
        yield Bullets(failures)


def _missing_runs(one: GridStudy, folder: str) -> str:
    """What became of the runs that aren't complete, and what brings each kind."""
    scores = one.scores
    failed, beyond = len(scores.failures), scores.not_to_come
    told = []
    if scores.to_come:
        claims = f"histsearch claims {shlex.quote(folder)}"
        told.append(f"{scores.to_come:,} still to come, for which {claims} with --run goes on")
    if failed:
        # Before the grid is through, a trial that is enqueued takes the place of one to come.
        enqueue = f", which histsearch study enqueue {one.name} with its values queues again"
        told.append(f"{failed:,} failed{'' if scores.to_come else enqueue}")
    if beyond:
        change = f"histsearch study set {one.name} trials={scores.expected}"
        told.append(f"{beyond:,} beyond what the study runs until {change} lets a worker go on")
    return f"{'; '.join(told)}. Complete runs of grid points that lack some:"


def _made_with(grids: Sequence[GridStudy]) -> Iterator[Part]:
    yield Paragraph("Images and software:")
    lines = [
        f"{one.space.dataset}: {census}"
        for one in grids
        if (census := known_census(one.study)) is not None
    ]
    for one in grids:
        lines += provenance_lines(one.space.weights, one.provenance)
    yield Bullets(list(dict.fromkeys(lines)))
