"""What a claims' report says first: the verdict on each claim, and the figures that decide."""

from collections.abc import Sequence
from typing import get_args

from histsearch.reports.claims.claims_report import JudgedClaim
from histsearch.reports.claims.rules import ClaimVerdict
from histsearch.reports.document.sections import Bullets, Paragraph, Section, ShownTable
from histsearch.reports.document.tables import Cell, Table, text_cell, text_column
from histsearch.reports.published_claims import claims_source


def verdicts_section(claims: Sequence[JudgedClaim]) -> Section:
    """The five verdicts beside the paper's, and a sentence on each."""
    return Section(
        "verdicts",
        "Verdicts",
        [
            Paragraph(summary(claims)),
            ShownTable(_table(claims)),
            Bullets([verdict_sentence(one) for one in claims]),
        ],
    )


def summary(claims: Sequence[JudgedClaim]) -> str:
    """How many claims have which verdict: a sentence."""
    by_verdict = {
        verdict: [str(one.claim.number) for one in claims if one.finding.verdict == verdict]
        for verdict in get_args(ClaimVerdict)
    }
    told = [_told(numbers, verdict) for verdict, numbers in by_verdict.items() if numbers]
    return f"{'; '.join(told).capitalize()}."


def _told(numbers: Sequence[str], verdict: str) -> str:
    *first, last = numbers
    if not first:
        return f"claim {last} is {verdict}"
    return f"claims {', '.join(first)} and {last} are {verdict}"


def verdict_sentence(one: JudgedClaim) -> str:
    """The verdict on a claim with what decides it."""
    return f"Claim {one.claim.number} is {one.finding.verdict}. {one.finding.sentence}"


def _table(claims: Sequence[JudgedClaim]) -> Table:
    return Table(
        name="claims",
        caption="The claims, the rules under which they are supported, and the verdicts.",
        columns=list(
            map(text_column, ("claim", "shown in", "supported where", "ours", "the paper's"))
        ),
        rows=[_row(one) for one in claims],
        notes=[f"The paper: {claims_source()}."],
    )


def _row(one: JudgedClaim) -> list[Cell]:
    claim = one.claim
    return [
        Cell(f"{claim.number}: {claim.statement}", (claim.number,)),
        *map(text_cell, (claim.place, claim.rule, one.finding.verdict, one.published)),
    ]
