"""Claim 5 in a claims' report: the comparisons of the tuned losses."""

from collections.abc import Iterator, Sequence

from histsearch.reports.claims.claims_report import JudgedClaim
from histsearch.reports.claims.loss_claim import LossComparison
from histsearch.reports.claims.verdicts_section import verdict_sentence
from histsearch.reports.comparisons import Comparison
from histsearch.reports.document.sections import (
    Listing,
    Missing,
    Paragraph,
    Part,
    Section,
    ShownTable,
)
from histsearch.reports.document.tables import (
    Cell,
    Table,
    difference_cell,
    estimate_column,
    number_cell,
    number_column,
    p_cell,
    text_cell,
    text_column,
)


def loss_section(judged: JudgedClaim, losses: Sequence[LossComparison]) -> Section:
    """The verdict on claim 5, each comparison, and what leads to those that are missing."""
    parts: list[Part] = [Paragraph(f"{verdict_sentence(judged)} The paper: {judged.published}.")]
    made = [one.comparison for one in losses if one.comparison is not None]
    if made:
        parts.append(ShownTable(_table(made)))
    for one in losses:
        parts += _missing(one)
    title = f"Claim {judged.claim.number}: {judged.claim.statement}"
    return Section(f"claim{judged.claim.number}", title, parts)


def _missing(one: LossComparison) -> Iterator[Part]:
    if one.comparison is not None:
        return
    first, second = one.spaces
    yield Missing(f"The comparison of {first} with {second}", f"{one.missing.rstrip('.')}.")
    if one.commands:
        yield Listing(
            "What leads to it, less the commands that were run; without a GPU with --device cpu in "
            "place of --gpu all",
            "\n".join(one.commands),
        )


def _table(made: Sequence[Comparison]) -> Table:
    return Table(
        name="losses",
        caption="HIST minus Proxy-Anchor on the test classes in points, with Welch's 95% interval.",
        columns=[
            *map(text_column, ("HIST", "Proxy-Anchor", "verdict")),
            estimate_column("difference"),
            *map(number_column, ("p of difference", "p of equivalence", "more seeds would tell")),
        ],
        rows=[_row(one) for one in made],
    )


def _row(one: Comparison) -> list[Cell]:
    return [
        *map(text_cell, (*one.names, one.verdict)),
        difference_cell(one.difference),
        *map(p_cell, (one.p_difference, one.p_equivalence)),
        number_cell(one.seeds_to_add),
    ]
