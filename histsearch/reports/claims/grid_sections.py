"""A section for each claim that is read off a grid, and for Figure 3(a) and Table 4."""

from collections.abc import Iterator

from histsearch.reports.claims.claims_report import ClaimsReport, JudgedClaim, MissingGrid
from histsearch.reports.claims.grid_files import FIGURE_3A, GRID_FILES, TABLE_4, GridFile
from histsearch.reports.claims.grid_scores import GridPoint
from histsearch.reports.claims.grid_study import GridStudy
from histsearch.reports.claims.grid_tables import (
    grid_figure,
    points_table,
    published_differences_table,
    tested_table,
)
from histsearch.reports.claims.verdicts_section import verdict_sentence
from histsearch.reports.document.sections import (
    Heading,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)

_REFERENCES: dict[str, GridPoint] = {
    "claim2-hgnn_layers": (2,),
    TABLE_4.stem: ("mahalanobis",),
}
"""By file the point whose differences the paper prints."""

_WITHOUT_VERDICT = {
    FIGURE_3A.stem: "The joint effect of embedding size and HGNN width",
    TABLE_4.stem: "Distances from embeddings to class distributions",
}


def claim_sections(report: ClaimsReport) -> Iterator[Section]:
    """A section for each claim that is read off a grid."""
    files = {one.claim.number: one for one in GRID_FILES.values() if one.claim}
    for judged in report.claims:
        file = files.get(judged.claim.number)
        if file is not None:
            parts = list(_claim_parts(judged, report.grids[file.stem]))
            title = f"Claim {judged.claim.number}: {judged.claim.statement}"
            yield Section(f"claim{judged.claim.number}", title, parts)


def _claim_parts(judged: JudgedClaim, grid: GridStudy | MissingGrid) -> Iterator[Part]:
    yield Paragraph(f"{verdict_sentence(judged)} The paper: {judged.published}.")
    if judged.consistent:
        yield Paragraph(
            f"The longest ranges of neighbouring values over which R@1 is consistent, without a "
            f"verdict: {judged.consistent}"
        )
    yield from _grid_parts(grid)
    if judged.finding.tested and isinstance(grid, GridStudy):
        yield ShownTable(tested_table(grid, judged.finding.tested))


def _grid_parts(grid: GridStudy | MissingGrid) -> Iterator[Part]:
    if isinstance(grid, MissingGrid):
        yield Missing(grid.file.place, grid.reason)
        return
    yield grid_figure(grid)
    yield ShownTable(points_table(grid))
    reference = _REFERENCES.get(grid.file.stem)
    if reference is not None and reference in grid.scores.points:
        yield ShownTable(published_differences_table(grid, reference))


def other_grids_section(report: ClaimsReport) -> Section:
    """Figure 3(a) and Table 4, on which the paper states no claim."""
    parts: list[Part] = []
    for stem, title in _WITHOUT_VERDICT.items():
        parts.append(Heading(f"{_file(stem).place}: {title}"))
        parts += _grid_parts(report.grids[stem])
    return Section("grids", "Figure 3(a) and Table 4", parts)


def _file(stem: str) -> GridFile:
    return GRID_FILES[stem]
