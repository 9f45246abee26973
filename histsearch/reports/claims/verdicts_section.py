"""What a claims' report says first: the verdict on each claim, and the figures that decide."""

from collections.abc import Sequence
from typing import get_args

from histsearch.reports.claims.claims_report import JudgedClaim
from histsearch.reports.claims.rules import ClaimVerdict
from histsearch.reports.document.sections import Bullets, Paragraph, Section, ShownTable
from histsearch.reports.document.tables import Cell, Table, text_cell, text_column
from histsearch.reports.published_claims import claims_source

_SO_FAR = " *"


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
    provisional = [str(one.claim.number) for one in claims if one.is_provisional]
    may_change = f" {_of_claims(provisional).capitalize()} may change." if provisional else ""
    return f"{'; '.join(told).capitalize()}.{may_change}"


def _told(numbers: Sequence[str], verdict: str) -> str:
    return f"{_of_claims(numbers)} {'is' if len(numbers) == 1 else 'are'} {verdict}"


def _of_claims(numbers: Sequence[str]) -> str:
    *first, last = numbers
    return f"claims {', '.join(first)} and {last}" if first else f"claim {last}"


def verdict_sentence(one: JudgedClaim) -> str:
    """The verdict on a claim with what decides it."""
    return f"Claim {one.claim.number} is {one.finding.verdict}. {one.finding.sentence}"


def _table(claims: Sequence[JudgedClaim]) -> Table:
    any_provisional = any(one.is_provisional for one in claims)
    return Table(
        name="claims",
        caption="The claims, the rules under which they are supported, and the verdicts.",
        columns=list(
            map(text_column, ("claim", "shown in", "supported where", "ours", "the paper's"))
        ),
        rows=[_row(one) for one in claims],
        notes=[
            *([f"{_SO_FAR.strip()} Runs are still to come."] * any_provisional),
            f"The paper: {claims_source()}.",
        ],
    )


def _row(one: JudgedClaim) -> list[Cell]:
    claim = one.claim
    return [
        Cell(f"{claim.number}: {claim.statement}", (claim.number,)),
        *map(text_cell, (claim.place, claim.rule)),
        text_cell(one.finding.verdict, _SO_FAR if one.is_provisional else ""),
        text_cell(one.published),
    ]
