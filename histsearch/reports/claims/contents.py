"""The files of a claims' report: its page, the same as data, tables and figures."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histsearch.reports.claims.claims_report import ClaimsReport, JudgedClaim, MissingGrid
from histsearch.reports.claims.grid_sections import claim_sections, other_grids_section
from histsearch.reports.claims.grid_study import GridStudy
from histsearch.reports.claims.loss_section import loss_section
from histsearch.reports.claims.rules import DELTA
from histsearch.reports.claims.rules_section import rules_section
from histsearch.reports.claims.runs_section import runs_section
from histsearch.reports.claims.verdicts_section import verdicts_section
from histsearch.reports.document.sections import Document
from histsearch.reports.document.writing import write_document
from histsearch.reports.published_claims import claims_source, published_score
from histsearch.reports.statistics import fraction_estimate

_NAME = "claims"


def write_claims_report(report: ClaimsReport, folder: Path) -> list[Path]:
    """Write ``claims.html``, ``claims.json``, tables and figures into a folder.

    An earlier claims' report there is replaced, as `write_document` does it.

    Returns:
        The page, and the data.

    Raises:
        OSError: The folder can't be written to.
    """
    return write_document(_document(report), _as_data(report), folder, _NAME)


def _document(report: ClaimsReport) -> Document:
    return Document(
        title=f"The claims of HIST ({report.folder.name}): report of histsearch",
        sections=[
            verdicts_section(report.claims),
            *claim_sections(report),
            loss_section(report.claims[-1], report.losses),
            other_grids_section(report),
            runs_section(report),
            rules_section(report),
        ],
    )


def _as_data(report: ClaimsReport) -> Mapping[str, Any]:
    """The contents of ``claims.json``: fractions, but in percent what is published."""
    return {
        "folder": report.folder.name,
        "delta": DELTA,
        "paper": claims_source(),
        "claims": [_claim_data(one) for one in report.claims],
        "grids": {stem: _grid_data(one) for stem, one in report.grids.items()},
        "losses": [asdict(one) for one in report.losses],
    }


def _claim_data(one: JudgedClaim) -> dict[str, Any]:
    claim = one.claim
    return {
        "number": claim.number,
        "statement": claim.statement,
        "place": claim.place,
        "rule": claim.rule,
        **asdict(one.finding),
        "is_provisional": one.is_provisional,
        "consistent": one.consistent,
        "published": one.published,
    }


def _grid_data(grid: GridStudy | MissingGrid) -> dict[str, Any]:
    if isinstance(grid, MissingGrid):
        return {"missing": grid.reason}
    scores = grid.scores
    return {
        "study": grid.name,
        "dataset": grid.space.dataset,
        "backbone": grid.space.backbone,
        "epochs": grid.space.epochs,
        "seeds": scores.seeds,
        "runs_expected": scores.expected,
        "runs_complete": len(scores.runs),
        "runs_to_come": scores.to_come,
        "failures": scores.failures,
        "cost": asdict(grid.cost),
        "provenance": grid.provenance,
        "points": [
            {
                "values": scores.named(point),
                "score": asdict(fraction_estimate(found)) if found else None,
                "published": published_score(scores.named(point)),
                "scores": {run.seed: run.score for run in scores.runs if run.point == point},
            }
            for point in scores.points
            for found in [scores.scores(point)]
        ],
    }
