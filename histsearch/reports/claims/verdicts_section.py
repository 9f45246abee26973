"""What a claims' report says first: the verdict on each claim, and the figures that decide."""

from collections.abc import Sequence

from histsearch.reports.claims.claims_report import JudgedClaim
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
    numbers: dict[str, list[str]] = {}
    for one in claims:
        numbers.setdefault(one.finding.verdict, []).append(str(one.claim.number))
    told = [_told(verdict, found) for verdict, found in numbers.items()]
    return f"Of HIST's five claims {'; '.join(told)}."


def _told(verdict: str, numbers: Sequence[str]) -> str:
    *first, last = numbers
    named = f"{', '.join(first)} and {last} are" if first else f"{last} is"
    return f"{named} {verdict}"


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
